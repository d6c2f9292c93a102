"""The true position of the tip: thermal drift of the sample, and creep of the scanner after each move."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophyd_devices.twin.randomness import stream

_KEY = (0, 3)  # of the random stream; those of measurements are (n,), (n, 1) and (n, 2)
WANDER_S = np.array([1200.0, 2700.0, 6000.0])
"""Periods with which the drift velocity changes, s (engineering guess: air conditioning, doors, the day)."""
WANDER = 0.3
"""Standard deviation of each change over the mean velocity (engineering guess)."""
CREEP_S = np.array([3.0, 30.0, 300.0])
"""Relaxation times of the creep, s, one for each decade. Their sum is close to the observed logarithm (Jung and Gweon,
Rev. Sci. Instrum. 71, 1896 (2000))."""


class Drift:
    """Thermal drift: a smooth function of time, 0 at 0 s.

    The velocity is constant except for slow sinusoids, so the displacement is
    ``rate · (t · u + Σ_k a_k · (sin(ω_k·t + φ_k) - sin φ_k) / ω_k)`` with random u (of length 1), a_k and φ_k.

    Parameters
    ----------
    rate : float
        Mean velocity, nm/min.
    seed : int
        Decides directions and phases.
    """

    def __init__(self, rate: float, seed: int) -> None:
        rng = stream(seed, *_KEY)
        angle = rng.uniform(0, 2 * np.pi)
        self._velocity = rate / 60 * np.array([np.cos(angle), np.sin(angle)])
        self._wander = rate / 60 * WANDER * rng.standard_normal((len(WANDER_S), 2))
        self._phase = rng.uniform(0, 2 * np.pi, (len(WANDER_S), 2))
        self._omega = 2 * np.pi / WANDER_S[:, None]

    def at(self, time: ArrayLike) -> NDArray[np.float64]:
        """Return the displacement (…, 2) in nm at `time` (…) in s."""
        time = np.asarray(time, dtype=np.float64)[..., None, None]
        waves = (np.sin(self._omega * time + self._phase) - np.sin(self._phase)) / self._omega
        displacement: NDArray[np.float64] = time[..., 0] * self._velocity + (self._wander * waves).sum(axis=-2)
        return displacement


@dataclass(frozen=True, eq=False)
class Creep:
    """How far the scanner is still behind its target after moves: a sum of relaxations.

    Attributes
    ----------
    share : float
        Share of a move that creeps in each decade of time.
    behind : (3, 2) float64
        Distance of each relaxation from the target at `since`, nm.
    since : float
        End of the last move, s.
    """

    share: float
    behind: NDArray[np.float64] = field(default_factory=lambda: np.zeros((len(CREEP_S), 2)))
    since: float = 0.0

    def after(self, by: tuple[float, float], time: float) -> "Creep":
        """Return the creep after a move `by` nm that ended at `time`."""
        return Creep(self.share, self._decayed(np.array(time)) - self.share * np.array(by), time)

    def at(self, time: ArrayLike) -> NDArray[np.float64]:
        """Return the displacement (…, 2) in nm at `time` (…) in s, not before the last move."""
        displacement: NDArray[np.float64] = self._decayed(np.asarray(time, dtype=np.float64)).sum(axis=-2)
        return displacement

    def _decayed(self, time: NDArray[np.float64]) -> NDArray[np.float64]:
        decayed: NDArray[np.float64] = np.exp((self.since - time[..., None]) / CREEP_S)[..., None] * self.behind
        return decayed
