"""What is learned of the spectra as a whole: their basis, the kernels, and how far each spectrum is trusted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.curio import ridge
from agents.curio.committee import Committee, average, stacked
from agents.curio.fit import fit
from agents.curio.kernel import Indices, Kernel
from agents.curio.posterior import Posterior
from agents.curio.sites import Sites
from agents.curio.spectra import Basis, Scored
from agents.curio.trust import CLEARED, SUSPICIOUS, harm

Values = NDArray[np.float64]

FITTED_TO = 256
"""Most spectra that the kernel is fitted to, which costs the third power of their number."""


@dataclass(frozen=True, eq=False)
class Model:
    """Basis, kernels and trust, learned from n spectra.

    Attributes
    ----------
    basis : Basis
    kernels : tuple of Kernel
        One for each view of the surroundings.
    weights : (K,) float64
        How much each counts.
    scored : Scored
        The n spectra, with the noise that they were believed to have.
    typical : float
        The median squared deviation of a spectrum from its prediction by the others, relative to the expected one;
        infinite if all spectra are trusted alike, because none is suspicious or those that are do no harm.
    doubt : (n,) float64
        The noise of each spectrum according to this model, relative to that of a good one; 1 where it does no harm.
    expected, found : (n,) float64
        The mean squared error of each spectrum when it is predicted from the others.
    """

    basis: Basis
    kernels: tuple[Kernel, ...]
    weights: Values
    scored: Scored
    typical: float
    doubt: Values
    expected: Values
    found: Values

    @property
    def noise(self) -> float:
        """The part of every spectral error that is noise, or that the basis does not represent."""
        return float(self.basis.importance @ self.score_noise) + self.basis.rest

    @property
    def score_noise(self) -> Values:
        """The variance of the noise of each score, (r,)."""
        return noise_of(self.kernels, self.weights)

    @property
    def shares(self) -> dict[str, float]:
        """What the spectra depend on, as shares of their expected variance that add up to 1.

        ``structure``: what the surroundings show, alike everywhere. ``position``: what is smooth in the image.
        ``local``: what the surroundings show in this part of the sample. ``noise``: the rest.
        """
        parts = np.einsum(
            "k,ktr,r->t", self.weights, np.stack([each.amplitudes for each in self.kernels]), self.basis.importance
        )
        total = float(parts.sum()) + self.noise or 1.0
        names = ("structure", "position", "local")
        return {**dict(zip(names, (parts / total).tolist(), strict=True)), "noise": self.noise / total}

    def words(self, views: Sequence[str]) -> str:
        """Return what was chosen, for a person: how much each of the `views` counts, what the spectra depend on."""
        counts = ", ".join(f"{view} {weight:.0%}" for view, weight in zip(views, self.weights, strict=True))
        shares = ", ".join(f"{name} {share:.0%}" for name, share in self.shares.items())
        distrusted = int((self.scored.inflation > 1).sum())
        return (
            f"learned from {len(self.scored)} spectra, {distrusted} of them distrusted; views: {counts}; "
            f"variance: {shares}"
        )

    @property
    def left_out(self) -> float:
        """The error of spectra that are predicted from the others, relative to their variance."""
        variance = float(self.basis.importance @ (self.scored.scores**2).mean(axis=0)) + self.basis.rest
        return float(self.found.mean()) / (variance or 1.0)

    def error(self, variance: Values) -> Values:
        """Return the mean squared error, per value, expected of spectra whose scores have a `variance` (r, …)."""
        return expected_error(self.basis, self.score_noise, variance)

    def distrust(self, squares: Values, variance: Values) -> Values:
        """Return the noise of spectra whose scores deviate from their prediction, see :func:`distrust`."""
        return distrust(self.basis, self.score_noise, squares, variance, typical=self.typical)

    def posterior(self, views: Sequence[Sites], *, tracked: Indices, integration: Indices) -> Committee:
        """Return what the n spectra say about the `tracked` candidates, see :class:`Committee`."""
        return Committee(
            (
                Posterior(
                    sites,
                    kernel,
                    self.scored,
                    tracked=tracked,
                    integration=integration,
                    importance=self.basis.importance,
                )
                for sites, kernel in zip(views, self.kernels, strict=True)
            ),
            self.weights,
        )


def learn_model(
    views: Sequence[Sites],
    measured: Indices,
    centred: Values,
    *,
    mean: Values,
    inflation: Values,
    before: Model | None,
    numbers: np.random.Generator,
    position: bool = True,
) -> Model:
    """Learn a model from spectra.

    Parameters
    ----------
    views : sequence of Sites
        The same places, their surroundings described in several ways. The kernel of the view ``"patch"`` is chosen
        (:mod:`~agents.curio.ridge`), those of the others are fitted (:mod:`~agents.curio.fit`).
    measured : (n,)
        Where the spectra were measured, n ≥ 3.
    centred : (n, K)
        The spectra less the mean of their area.
    mean : (K,)
        That of the present area.
    inflation : (n,)
        The noise of each, relative to that of a good spectrum, as believed so far.
    before : Model, optional
        The search for the kernels begins at those of this model.
    numbers : Generator
        Draws the spectra that the kernels are fitted to, if there are too many.
    position : bool
        Whether nearness counts, or only structure.
    """
    basis = Basis.of(centred, mean, 1 / inflation)
    scored = Scored(measured, basis.project(centred), inflation)
    rank = scored.scores.shape[1]
    starts = [Kernel.prior(len(sites.groups), rank) for sites in views]
    if before is not None and before.scored.scores.shape[1] == rank:
        starts = list(before.kernels)
    some = np.sort(numbers.permutation(len(scored))[:FITTED_TO])
    kernels = tuple(
        ridge.choose(sites, scored[some], basis.importance, position=position)
        if sites.view == "patch"
        else fit(sites, scored[some], start, position=position)
        for sites, start in zip(views, starts, strict=True)
    )

    offs, variances = left_out(views, kernels, scored, basis)
    weights = stacked(offs, basis.importance, 1 / inflation)
    off, variance = average(weights, offs, variances)  # (r, n)
    noise = noise_of(kernels, weights)
    typical, doubt = np.inf, np.ones(len(scored))
    deviation = _deviation(noise, off**2, variance)
    suspicious = deviation > SUSPICIOUS * np.median(deviation)
    if suspicious.any():
        # One that was distrusted is cleared only if that clearly helps the others.
        harmful = suspicious & (_harm(views, kernels, weights, scored, basis) > np.where(inflation > 1, -CLEARED, 0.0))
        usual = float(np.median(deviation)) or 1.0
        doubt = np.where(harmful, distrust(basis, noise, off**2, variance, typical=usual), 1.0)
        if 2 * harmful.sum() > suspicious.sum():
            typical = usual  # a suspicious spectrum is more likely bad than rare
    rest = ((centred - basis.restore(scored.scores)) ** 2).mean(axis=1)
    return Model(
        basis=basis,
        kernels=kernels,
        weights=weights,
        scored=scored,
        typical=typical,
        doubt=doubt,
        expected=expected_error(basis, noise, variance),
        found=basis.importance @ off**2 + rest,
    )


def left_out(views: Sequence[Sites], kernels: Sequence[Kernel], scored: Scored, basis: Basis) -> tuple[Values, Values]:
    """Return what :meth:`Posterior.leave_one_out` does, for each kernel: two arrays (K, r, n)."""
    nowhere = np.empty(0, dtype=np.int64)
    each = [
        Posterior(
            sites, kernel, scored, tracked=nowhere, integration=nowhere, importance=basis.importance
        ).leave_one_out()
        for sites, kernel in zip(views, kernels, strict=True)
    ]
    return np.stack([off for off, _ in each]), np.stack([variance for _, variance in each])


def _harm(views: Sequence[Sites], kernels: Sequence[Kernel], weights: Values, scored: Scored, basis: Basis) -> Values:
    """Return how much harm each spectrum does according to all models, (n,), see :func:`~agents.curio.trust.harm`."""
    here, scores = scored.sites, scored.scores.T
    each = [
        harm(kernel(sites, here, here), kernel.noise, scored.inflation, scores, basis.importance)
        for sites, kernel in zip(views, kernels, strict=True)
    ]
    return np.asarray(weights @ np.stack(each))


def distrust(basis: Basis, noise: Values, squares: Values, variance: Values, *, typical: float) -> Values:
    """Return the noise of spectra relative to that of a good one, at least 1.

    A suspicious spectrum is expected to vary in proportion to the square of its deviation, so that the farther off it
    is the less it counts, in the end not at all: a redescending estimator (Huber & Ronchetti, *Robust Statistics*,
    Wiley 2009, section 4.8). What is expected is noise and what is unknown of the place; all of the growth is
    attributed to noise. If the noise alone grew, a sample with little noise would still believe a bad spectrum far
    from all others.

    Parameters
    ----------
    basis : Basis
    noise : (r,)
        The variance of the noise of each score.
    squares : (r, …)
        Squared deviations of the scores from their prediction.
    variance : (r, …)
        Of the prediction, without noise.
    typical : float
        See :class:`Model`.
    """
    known = basis.importance @ noise
    unknown = np.tensordot(basis.importance, variance, axes=1)
    growth = np.maximum((_deviation(noise, squares, variance) / (SUSPICIOUS * typical)) ** 2, 1.0)
    return np.asarray(1 + (growth - 1) * (known + unknown) / known)


def expected_error(basis: Basis, noise: Values, variance: Values) -> Values:
    """Return the mean squared error, per value, expected of spectra whose scores have a `variance` (r, …)."""
    level = float(basis.importance @ noise) + basis.rest
    return np.asarray(np.tensordot(basis.importance, variance, axes=1) + level)


def noise_of(kernels: Sequence[Kernel], weights: Values) -> Values:
    """Return the variance of the noise of each score, (r,), as all models see it."""
    return np.asarray(weights @ np.stack([kernel.noise for kernel in kernels]))


def _deviation(noise: Values, squares: Values, variance: Values) -> Values:
    """Return squared deviations relative to the expected ones, summed over the scores."""
    level = noise.reshape(-1, *[1] * (variance.ndim - 1))
    return np.asarray((squares / (variance + level)).sum(axis=0))
