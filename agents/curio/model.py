"""What is learned of the spectra as a whole: their basis, the kernel, and how far each spectrum is to be trusted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.curio.kernel import Indices, Kernel, fit
from agents.curio.posterior import Posterior
from agents.curio.sites import Sites
from agents.curio.spectra import Basis

Values = NDArray[np.float64]

FITTED_TO = 256
"""As many spectra at most fit the kernel, which costs the third power of their number."""

SUSPICIOUS = 3.0
"""A spectrum that is off by so many times the typical squared deviation is trusted less."""


@dataclass(frozen=True, eq=False)
class Model:
    """Basis, kernel and trust, as of the n spectra they were learned from.

    Attributes
    ----------
    basis : Basis
    kernel : Kernel
    scores : (n, r) float64
        Of the spectra in the basis.
    weights : (n,) float64
        The noise of each, relative to that of a good one; at least 1.
    typical : float
        The median squared deviation of a spectrum from what the others predict, relative to what is expected of it.
    expected, found : (n,) float64
        The mean squared error of each spectrum when it is predicted from the others.
    robust : bool
        Whether weights are learned.
    """

    basis: Basis
    kernel: Kernel
    scores: Values
    weights: Values
    typical: float
    expected: Values
    found: Values
    robust: bool

    @classmethod
    def learn(
        cls,
        sites: Sites,
        measured: Indices,
        centred: Values,
        mean: Values,
        weights: Values,
        before: "Model | None",
        numbers: np.random.Generator,
        *,
        robust: bool = True,
        position: bool = True,
    ) -> "Model":
        """Learn from spectra.

        Parameters
        ----------
        sites : Sites
        measured : (n,)
            Which sites were measured, n ≥ 3.
        centred : (n, K)
            The spectra less the mean of their area.
        mean : (K,)
            That of the present area.
        weights : (n,)
            What was thought of the noise of each so far.
        before : Model, optional
            Where the search for the kernel begins.
        numbers : Generator
            Draws the spectra that fit the kernel, if they are too many.
        robust : bool
            Whether to learn weights.
        position : bool
            Whether nearness counts, or only structure.
        """
        basis = Basis.of(centred, mean, 1 / weights)
        scores = basis.project(centred)
        some = np.sort(numbers.permutation(len(measured))[:FITTED_TO])
        start = Kernel.prior(len(sites.rings), scores.shape[1])
        if before is not None and before.scores.shape[1] == scores.shape[1]:
            start = before.kernel
        kernel = fit(sites, measured[some], scores[some], weights[some], start, position=position)
        nowhere = np.empty(0, dtype=np.int64)
        among = Posterior(sites, kernel, measured, scores, weights, nowhere, nowhere, basis.weights)
        off, variance = among.leave_one_out()  # (r, n)
        typical = float(np.median(_deviation(kernel, off**2, variance))) or 1.0
        rest = ((centred - basis.restore(scores)) ** 2).mean(axis=1)
        model = cls(basis, kernel, scores, weights, typical, np.empty(0), basis.weights @ off**2 + rest, robust)
        return cls(
            basis,
            kernel,
            scores,
            model.distrust(off**2, variance),
            typical,
            model.error(variance),
            model.found,
            robust,
        )

    def posterior(self, sites: Sites, measured: Indices, working: Indices, integration: Indices) -> Posterior:
        """Return what the spectra say about the candidates `working`, see :class:`Posterior`."""
        return Posterior(
            sites, self.kernel, measured, self.scores, self.weights, working, integration, self.basis.weights
        )

    def distrust(self, squares: Values, variance: Values) -> Values:
        """Return the noise of spectra whose scores are off by `squares` (r, …) where a `variance` (r, …) was expected.

        Relative to a good one's. What is expected of a suspicious spectrum, its noise and what is not known of its
        place, grows with the square of its deviation, so that its pull falls to nothing the farther off it is: a
        redescending estimator (Huber & Ronchetti, *Robust Statistics*, Wiley 2009, section 4.8). All of that growth is
        put down to its noise; were only the noise to grow, a sample with little of it would still believe a bad
        spectrum far from all others.
        """
        deviation = _deviation(self.kernel, squares, variance)
        if not self.robust:
            return np.ones_like(deviation)
        known = self.basis.weights @ self.kernel.noise
        unknown = np.tensordot(self.basis.weights, variance, axes=1)
        growth = np.maximum((deviation / (SUSPICIOUS * self.typical)) ** 2, 1.0)
        return np.asarray(1 + (growth - 1) * (known + unknown) / known)

    def error(self, variance: Values) -> Values:
        """Return the mean squared error, per value, expected of spectra whose scores have a `variance` (r, …)."""
        return np.asarray(np.tensordot(self.basis.weights, variance, axes=1) + self.noise)

    @property
    def noise(self) -> float:
        """The part of every error that is noise, and what the basis leaves."""
        return float(self.basis.weights @ self.kernel.noise) + self.basis.rest

    @property
    def left_out(self) -> float:
        """The error of spectra that are predicted from the others, relative to their variance."""
        variance = float(self.basis.weights @ (self.scores**2).mean(axis=0)) + self.basis.rest
        return float(self.found.mean()) / (variance or 1.0)


def _deviation(kernel: Kernel, squares: Values, variance: Values) -> Values:
    noise = kernel.noise.reshape(-1, *[1] * (variance.ndim - 1))
    return np.asarray((squares / (variance + noise)).sum(axis=0))
