"""What is learned of the spectra as a whole: their basis, the kernel, and how far each spectrum is trusted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.curio.fit import fit
from agents.curio.kernel import Indices, Kernel
from agents.curio.posterior import Posterior
from agents.curio.sites import Sites
from agents.curio.spectra import Basis, Scored

Values = NDArray[np.float64]

FITTED_TO = 256
"""Most spectra that the kernel is fitted to, which costs the third power of their number."""

SUSPICIOUS = 3.0
"""A spectrum whose squared deviation is this many times the typical one is trusted less."""


@dataclass(frozen=True, eq=False)
class Model:
    """Basis, kernel and trust, learned from n spectra.

    Attributes
    ----------
    basis : Basis
    kernel : Kernel
    scored : Scored
        The n spectra, with the noise that they are now believed to have.
    typical : float
        The median squared deviation of a spectrum from its prediction by the others, relative to the expected one;
        infinite if all spectra are trusted alike.
    expected, found : (n,) float64
        The mean squared error of each spectrum when it is predicted from the others.
    """

    basis: Basis
    kernel: Kernel
    scored: Scored
    typical: float
    expected: Values
    found: Values

    @property
    def noise(self) -> float:
        """The part of every spectral error that is noise, or that the basis does not represent."""
        return noise_of(self.basis, self.kernel)

    @property
    def left_out(self) -> float:
        """The error of spectra that are predicted from the others, relative to their variance."""
        variance = float(self.basis.importance @ (self.scored.scores**2).mean(axis=0)) + self.basis.rest
        return float(self.found.mean()) / (variance or 1.0)

    def error(self, variance: Values) -> Values:
        """Return the mean squared error, per value, expected of spectra whose scores have a `variance` (r, …)."""
        return expected_error(self.basis, self.kernel, variance)

    def distrust(self, squares: Values, variance: Values) -> Values:
        """Return the noise of spectra whose scores deviate from their prediction, see :func:`distrust`."""
        return distrust(self.basis, self.kernel, squares, variance, typical=self.typical)

    def posterior(self, sites: Sites, *, tracked: Indices, integration: Indices) -> Posterior:
        """Return what the n spectra say about the `tracked` candidates, see :class:`Posterior`."""
        return Posterior(
            sites,
            self.kernel,
            self.scored,
            tracked=tracked,
            integration=integration,
            importance=self.basis.importance,
        )


def learn_model(
    sites: Sites,
    measured: Indices,
    centred: Values,
    *,
    mean: Values,
    inflation: Values,
    before: Model | None,
    numbers: np.random.Generator,
    robust: bool = True,
    position: bool = True,
) -> Model:
    """Learn a model from spectra.

    Parameters
    ----------
    sites : Sites
    measured : (n,)
        Where the spectra were measured, n ≥ 3.
    centred : (n, K)
        The spectra less the mean of their area.
    mean : (K,)
        That of the present area.
    inflation : (n,)
        The noise of each, relative to that of a good spectrum, as believed so far.
    before : Model, optional
        The search for the kernel begins at that of this model.
    numbers : Generator
        Draws the spectra that the kernel is fitted to, if there are too many.
    robust : bool
        Whether to trust suspicious spectra less.
    position : bool
        Whether nearness counts, or only structure.
    """
    basis = Basis.of(centred, mean, 1 / inflation)
    scored = Scored(measured, basis.project(centred), inflation)
    start = Kernel.prior(len(sites.rings), scored.scores.shape[1])
    if before is not None and before.scored.scores.shape[1] == scored.scores.shape[1]:
        start = before.kernel
    some = np.sort(numbers.permutation(len(scored))[:FITTED_TO])
    kernel = fit(sites, scored[some], start, position=position)

    nowhere = np.empty(0, dtype=np.int64)
    among = Posterior(sites, kernel, scored, tracked=nowhere, integration=nowhere, importance=basis.importance)
    off, variance = among.leave_one_out()  # (r, n)
    typical = (float(np.median(_deviation(kernel, off**2, variance))) or 1.0) if robust else np.inf
    rest = ((centred - basis.restore(scored.scores)) ** 2).mean(axis=1)
    inflation = distrust(basis, kernel, off**2, variance, typical=typical)
    return Model(
        basis=basis,
        kernel=kernel,
        scored=Scored(measured, scored.scores, inflation),
        typical=typical,
        expected=expected_error(basis, kernel, variance),
        found=basis.importance @ off**2 + rest,
    )


def distrust(basis: Basis, kernel: Kernel, squares: Values, variance: Values, *, typical: float) -> Values:
    """Return the noise of spectra relative to that of a good one, at least 1.

    A suspicious spectrum is expected to vary in proportion to the square of its deviation, so that the farther off it
    is the less it counts, in the end not at all: a redescending estimator (Huber & Ronchetti, *Robust Statistics*,
    Wiley 2009, section 4.8). What is expected is noise and what is unknown of the place; all of the growth is
    attributed to noise. If the noise alone grew, a sample with little noise would still believe a bad spectrum far
    from all others.

    Parameters
    ----------
    basis, kernel
    squares : (r, …)
        Squared deviations of the scores from their prediction.
    variance : (r, …)
        Of the prediction, without noise.
    typical : float
        See :class:`Model`.
    """
    known = basis.importance @ kernel.noise
    unknown = np.tensordot(basis.importance, variance, axes=1)
    growth = np.maximum((_deviation(kernel, squares, variance) / (SUSPICIOUS * typical)) ** 2, 1.0)
    return np.asarray(1 + (growth - 1) * (known + unknown) / known)


def expected_error(basis: Basis, kernel: Kernel, variance: Values) -> Values:
    """Return the mean squared error, per value, expected of spectra whose scores have a `variance` (r, …)."""
    return np.asarray(np.tensordot(basis.importance, variance, axes=1) + noise_of(basis, kernel))


def noise_of(basis: Basis, kernel: Kernel) -> float:
    """Return the part of every spectral error that is noise, or that the basis does not represent."""
    return float(basis.importance @ kernel.noise) + basis.rest


def _deviation(kernel: Kernel, squares: Values, variance: Values) -> Values:
    """Return squared deviations relative to the expected ones, summed over the scores."""
    noise = kernel.noise.reshape(-1, *[1] * (variance.ndim - 1))
    return np.asarray((squares / (variance + noise)).sum(axis=0))
