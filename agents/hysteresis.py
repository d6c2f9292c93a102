"""A theory of polarisation switching: the hysteresis loop as a function of the bias."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

Values = NDArray[np.float64]

PARAMETERS = ("offset", "slope", "amplitude", "imprint", "coercive", "width", "start")
"""The parameters of :func:`loop`, in this order."""


def loop(bias: Values, parameters: Values) -> Values:
    """Return hysteresis loops for a bias waveform that begins at the foot of a rising or a falling branch.

    The two branches have the same shape, ``offset + slope·V + amplitude·tanh((V − imprint ∓ coercive)/width)``, with
    the upper sign where the bias rises. Up to the first extreme of the bias, the sample goes from the state ``start``
    to the first branch: ``start + (s − start)(1 + s·t)/2``, where s = ±1 is the end of that branch and t its hyperbolic
    tangent. This is the loop shape of switching spectroscopy (Jesse, Baddorf & Kalinin, Appl. Phys. Lett. 88, 062908
    (2006)) with as few parameters as a symmetric loop needs.

    Parameters
    ----------
    bias : (K,)
        The waveform, in V or any other unit.
    parameters : (N, 7)
        :data:`PARAMETERS`; offset, slope and amplitude in the unit of the spectrum, imprint, coercive and width in that
        of the bias, start −1…1.

    Returns
    -------
    (N, K)
    """
    offset, slope, amplitude, imprint, coercive, width, start = np.moveaxis(parameters, -1, 0)[..., None]  # each (N, 1)
    direction, virgin = _branches(bias)
    branch = np.tanh((bias - imprint - direction * coercive) / np.maximum(width, 1e-9))  # (N, K)
    end = direction[0]
    first = start + (end - start) * (1 + end * branch) / 2
    return np.asarray(offset + slope * bias + amplitude * np.where(virgin, first, branch))


def fit_loop(bias: Values, spectrum: Values) -> Values:
    """Return the parameters (7,) of the :func:`loop` that fits a `spectrum` (K,) best, by least squares."""
    scale, centre = max(float(np.ptp(spectrum)), np.finfo(float).tiny), float(spectrum.mean())
    largest = float(np.abs(bias).max())
    volt, value = bias / largest, (spectrum - centre) / scale
    up = value[volt >= 0.9 * volt.max()].mean() - value[volt <= 0.9 * volt.min()].mean()
    #           offset slope amplitude imprint coercive width start
    lower = [-2.0, -2.0, -2.0, -1.0, 0.0, 0.02, -1.0]
    upper = [2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0]
    begin = [0.0, 0.0, 0.5 if up >= 0 else -0.5, 0.0, 0.3, 0.2, 0.0]

    def off(parameters: Values) -> Values:
        return np.asarray(loop(volt, parameters[None])[0] - value)

    found = least_squares(off, begin, bounds=(lower, upper), max_nfev=60).x
    unit = [scale, scale / largest, scale, largest, largest, largest, 1.0]
    return np.asarray(found * unit + [centre, 0, 0, 0, 0, 0, 0])


def triangle(steps: int, cycles: float, phase: float) -> Values:
    """Return a triangular waveform 0 → 1 → 0 → −1 → 0, in units of its amplitude.

    Parameters
    ----------
    steps : int
        Number of values K.
    cycles : float
        Number of cycles.
    phase : float
        Where in the cycle the waveform begins, 0…1.

    Returns
    -------
    (K,)
    """
    turn = (phase + cycles * np.arange(steps) / steps + 0.25) % 1.0  # 0 at −1, ½ at +1
    return np.asarray(1 - np.abs(4 * turn - 2))


def is_cyclic(axis: Values) -> bool:
    """Return whether an axis (K,) goes up and down, as a bias does; a wavenumber or a step number does not."""
    steps = np.diff(axis)
    return bool((steps > 0).any() and (steps < 0).any())


def _branches(bias: Values) -> tuple[Values, NDArray[np.bool_]]:
    """Return the direction of each step, ±1, (K,), and whether it precedes the first extreme, (K,)."""
    direction = np.sign(np.diff(bias, append=2 * bias[-1] - bias[-2] if len(bias) > 1 else bias[-1] + 1))
    for step in range(1, len(direction)):
        if direction[step] == 0:
            direction[step] = direction[step - 1]
    direction[direction == 0] = 1.0
    turns = np.flatnonzero(direction != direction[0])
    virgin = np.arange(len(bias)) <= (turns[0] if len(turns) else len(bias))
    # An extreme belongs to the branch that it ends.
    direction[1:] = np.where(np.diff(direction) != 0, direction[:-1], direction[1:])
    return direction, virgin
