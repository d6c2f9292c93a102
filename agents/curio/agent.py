"""The agent ``curio``: curiosity about the error that a measurement can remove."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from agents.curio.calibration import Calibration
from agents.curio.kernel import Indices, Kernel
from agents.curio.model import Model
from agents.curio.posterior import Posterior
from agents.curio.sites import Sites
from agents.protocols import Config, Context, Estimate, Observation, Past, Pool, Record, Report, Suggestion
from agents.threaded import ThreadedAgent
from agents.training import threads

Values = NDArray[np.float64]

GROWTH = 1.3
"""The model is learned anew when there are so many times as many spectra."""

SETTLED = 512
"""With so many spectra the model is not learned anew any more."""

WORKING = 4096
"""Of as many candidates at most the variance is followed: all of a usual pool, an even lattice of a larger one."""

INTEGRATED_OVER = 256
"""As many candidates stand for all where a variance is integrated."""

PAST_MEAN_COUNTS_AS = 3.0
"""The mean spectrum of earlier runs is worth so many present spectra."""

PAST_AT_MOST = 512
"""Of earlier runs so many spectra at most are learned from, drawn evenly from all runs."""

PRESENT_FROM = 10
"""With so many spectra of its own, a run does not ask earlier ones how wrong the model is."""

TINY = np.finfo(float).tiny


class CurioAgent(ThreadedAgent):
    """See :mod:`agents.curio`.

    Parameters
    ----------
    config : mapping
        With ``seed``, ``threads``, ``initial``, ``checks``, ``choice``, ``travel``, ``surroundings``,
        ``position`` and ``robust``.
    """

    parts = ("variance", "noise")
    losses = ("leave_one_out",)
    learns_from_past = True
    snapshot: ClassVar[tuple[str, ...]] = (
        *ThreadedAgent.snapshot,
        "_learned",
        "_seen",
        "_model",
        "_with_past",
        "_learned_at",
        "_later",
        "_checks",
    )

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._learned = 0
        self._seen: Pool | None = None  # the last image learned; there may be a later one that was not yet
        self._model: Model | None = None
        self._with_past = False  # whether it knows earlier runs
        self._learned_at = 0  # how many spectra of this run the model knows
        self._later: list[float] = []  # the noise of each later one, relative to that of a good one
        self._checks: list[tuple[float, float]] = []  # the error of each check: expected and found
        self._forget()

    def learn(self, record: Record) -> None:
        """Learn from the next record."""
        if isinstance(record, Pool):
            self._seen = record
            self._forget()
            if self._model is None and self._past_count > 2:
                self._learn_model()
        elif isinstance(record, Observation):
            self._observe(record.index, np.asarray(record.spectrum, dtype=np.float64))

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return checks where they are due, otherwise where most error would be removed, one after the other.

        With ``travel``, a batch comes in the order of a short way.
        """
        posterior = self._fold()
        if context.pending or n > 1:
            posterior = posterior.branch()
        for index in context.pending:
            posterior.imagine(index)
        free = np.zeros(len(self.pool), dtype=bool)
        free[self.available(context)] = True
        last = [*self.measured, *context.pending][-1:]
        first = self._learned + len(context.pending)
        suggestions: list[Suggestion] = []
        for number in range(first, first + n):
            scores = self._scores(posterior, last)
            index, phase = self._pick(number, free, scores)
            parts = dict.fromkeys(self.parts, float("nan"))
            if self._model is not None:
                _, variance = posterior.predict(index)
                noise = self._model.noise
                parts = {"variance": float(self._model.error(variance)) - noise, "noise": noise}
            suggestions.append(Suggestion(index, phase, float(scores[index]), parts))
            free[index], last = False, [index]
            if len(suggestions) < n:
                posterior.imagine(index)
        here = [*self.measured, *context.pending][-1:]
        return self._along(suggestions, here) if self.config["travel"] and here else suggestions

    def believe(self, context: Context | None) -> Report:
        """Return the maps, see :mod:`agents.curio`, and the predicted spectra."""
        if self._model is None:
            return Report(dict.fromkeys(self.losses, float("nan")), {}, None)
        posterior, model, calibration = self._fold(), self._model, self._calibrate(self._model)
        error = calibration.factor * model.error(posterior.variance)[self._nearest]
        low, high = calibration.quantiles
        maps = {
            "predicted_error": error,
            "error_low": low * error,
            "error_high": high * error,
            "reducible_error": error - calibration.factor * model.noise,
        }
        if context is not None:
            maps["score"] = self._scores(posterior, [*self.measured, *context.pending][-1:])
        loss = {"leave_one_out": model.left_out}
        prediction = model.basis.compose(self._mean(posterior).T)
        small = {name: values.astype(np.float32) for name, values in maps.items()}
        return Report(loss, small, prediction.astype(np.float32))

    def estimate(self) -> Estimate | None:
        """Return how well everything ingested so far is known; None before there is a model."""
        with threads(self.config["threads"]):
            self.catch_up()
            return self._estimate()

    def _estimate(self) -> Estimate | None:
        if self._model is None:
            return None
        posterior, model, calibration = self._fold(), self._model, self._calibrate(self._model)
        left = np.ones(len(self.pool), dtype=bool)
        left[self.measured] = False
        errors = model.error(posterior.variance)[self._nearest][left]
        error = float(errors.mean()) if errors.size else model.noise
        # Spectra vary over the pool by what is predicted, and by what the prediction misses.
        predicted = float(model.basis.weights @ posterior.mean.var(axis=1))
        spread = (predicted + calibration.factor * error) or 1.0  # all spectra are the same: nothing is wrong
        gain = float(posterior.reduction().max())
        return Estimate(
            error=calibration.factor * error / spread,
            low=calibration.low * error / spread,
            high=calibration.high * error / spread,
            noise=calibration.factor * model.noise / spread,
            gain=calibration.factor * gain / spread,
            checks=calibration.checks,
        )

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot of an agent with the same config."""
        super().load_state(state)
        self._forget()

    def _forget(self) -> None:
        """Drop what follows from the rest."""
        self._sites: Sites | None = None
        self._posterior: Posterior | None = None
        self._reserve: Indices = np.empty(0, dtype=np.int64)
        self._working: Indices = np.empty(0, dtype=np.int64)
        self._nearest: Indices = np.empty(0, dtype=np.int64)

    def _observe(self, index: int, spectrum: Values) -> None:
        posterior, model = self._fold(), self._model
        self._learned += 1
        if model is None:
            if self._learned >= int(self.config["initial"]):
                self._learn_model()
            else:
                posterior.imagine(index)
            return
        centred = spectrum - model.basis.mean  # (K,)
        scores = model.basis.project(centred)
        mean, variance = posterior.predict(index)
        if index in self._reserve:
            found = float(((centred - model.basis.restore(mean)) ** 2).mean())
            self._checks = [*self._checks, (float(model.error(variance)), found)]
        weight = float(model.distrust((scores - mean) ** 2, variance))
        self._later = [*self._later, weight]
        if GROWTH * max(self._learned_at, 4) <= self._learned <= SETTLED:
            self._learn_model()
        else:
            posterior.observe(index, scores, weight)

    def _learn_model(self) -> None:
        """Find basis, kernel and the trust in each spectrum anew, with earlier runs only if they help.

        They do if the present spectra, each predicted from all others, are less off; the geometric mean tells, so that
        a few bad spectra do not decide.
        """
        known = self._model.weights if self._model is not None else np.ones(0)
        present = np.ones(self._learned)
        present[: self._learned_at] = known[len(known) - self._learned_at :]
        present[self._learned_at :] = self._later or 1.0
        alone = together = None
        if self._learned >= int(self.config["initial"]):
            alone = self._learn_from([], present)
        if self._past_count > 2:
            together = self._learn_from(self._lessons(), present)
        if alone is not None and together is not None:
            off, other = together.found[self._past_count :], alone.found
            together = together if np.log(off + TINY).mean() < np.log(other + TINY).mean() else None
        self._with_past = together is not None
        self._model = together or alone
        self._learned_at, self._later, self._posterior = self._learned, [], None

    def _learn_from(self, past: Sequence[Past], present: Values) -> Model:
        """Return the model of the spectra of `past` runs and of this one; `present` (n,) weighs its noise."""
        centred: list[Values] = []
        mean, weights = np.zeros(0), np.ones(0)
        known = self._model.weights if self._model is not None and self._with_past else np.ones(self._past_count)
        counts = [len(run.observations) for run in past]
        earlier = zip((run.observations for run in past), np.split(known, np.cumsum(counts)), strict=False)
        for run, noise in [*earlier, (tuple(self._observations[: self._learned]), present)]:
            if not run:
                continue
            spectra = np.array([observation.spectrum for observation in run], dtype=np.float64)  # (n, K)
            trust = 1 / noise
            if centred:
                mean = (trust @ spectra + PAST_MEAN_COUNTS_AS * mean) / (trust.sum() + PAST_MEAN_COUNTS_AS)
            else:
                mean = np.average(spectra, axis=0, weights=trust)
            centred.append(spectra - mean)
            weights = np.concatenate([weights, noise])
        return Model.learn(
            self._look(),
            self._measured(self._learned, with_past=bool(past)),
            np.concatenate(centred),
            mean,
            weights,
            self._model,
            self.numbers("model", self._learned),
            robust=self.config["robust"],
            position=self.config["position"],
        )

    @property
    def _past_count(self) -> int:
        return sum(len(run.observations) for run in self._lessons())

    def _lessons(self) -> list[Past]:
        """Return the earlier runs with as many of their spectra as are learned from."""
        share = PAST_AT_MOST // max(len(self._past), 1)
        lessons = []
        for number, run in enumerate(self._past):
            some = np.sort(self.numbers("past", number).permutation(len(run.observations))[:share])
            lessons.append(replace(run, observations=tuple(run.observations[index] for index in some)))
        return lessons

    def _measured(self, count: int, *, with_past: bool) -> Indices:
        """Return which sites were measured: those of earlier runs, if they count, and the first `count` of this one."""
        size = len(self.pool)
        past = np.arange(size, size + self._past_count) if with_past else np.empty(0, dtype=np.int64)
        return np.concatenate([past, self.measured[:count]])

    def _look(self) -> Sites:
        """Return what is known of each place; which candidates are looked after, and which are kept for checks."""
        if self._sites is None:
            pool = self._seen or self.pool
            self._sites = Sites.of(pool, self._lessons(), rings=self.config["surroundings"] == "rings")
            lattice = _lattice(pool.grid)
            self._nearest = _nearest_of(lattice, pool.grid)
            self._working = lattice
            every = int(self.config["checks"])
            count = max(1, len(pool) // every) if every else 0
            self._reserve = self.numbers("checks").permutation(len(pool))[:count]
        return self._sites

    def _fold(self) -> Posterior:
        """Return the posterior; after a new model, a new image or a restart from the observations, in their order."""
        if self._posterior is None:
            sites = self._look()
            count = len(self._working)
            some = np.sort(self.numbers("integration").permutation(count)[:INTEGRATED_OVER])
            if self._model is None:
                kernel = Kernel.prior(len(sites.rings), 1)
                nothing = np.empty(0)
                self._posterior = Posterior(
                    sites,
                    kernel,
                    self._measured(0, with_past=False),
                    nothing[:, None],
                    nothing,
                    self._working,
                    some,
                    np.ones(1),
                )
                for index in self.measured[: self._learned]:
                    self._posterior.imagine(int(index))
            else:
                model = self._model
                self._posterior = model.posterior(
                    sites, self._measured(self._learned_at, with_past=self._with_past), self._working, some
                )
                for observation, weight in zip(self._observations[self._learned_at :], self._later, strict=False):
                    centred = np.asarray(observation.spectrum, dtype=np.float64) - model.basis.mean
                    self._posterior.observe(observation.index, model.basis.project(centred), weight)
        return self._posterior

    def _scores(self, posterior: Posterior, last: list[int]) -> Values:
        """Return by how much a spectrum at each candidate would lower the mean error, (N,); NaN where not looked after.

        With ``travel``, per time: that of one spectrum, and of the way there.
        """
        scores = np.full(len(self.pool), np.nan)
        scores[self._working] = posterior.reduction()
        travel = float(self.config["travel"])
        if travel and last:
            positions = self.pool.positions
            scores /= 1 + cdist(positions[last], positions)[0] / travel
        return scores

    def _along(self, suggestions: list[Suggestion], here: list[int]) -> list[Suggestion]:
        """Return the suggestions in the order in which each is the nearest to the one before."""
        positions, left, ordered = self.pool.positions, list(suggestions), []
        place = positions[here[0]]
        while left:
            away = [float(np.hypot(*(positions[suggestion.index] - place))) for suggestion in left]
            ordered.append(left.pop(int(np.argmin(away))))
            place = positions[ordered[-1].index]
        return ordered

    def _pick(self, number: int, free: NDArray[np.bool_], scores: Values) -> tuple[int, str]:
        """Return the candidate for the point of this `number`, and why."""
        every = int(self.config["checks"])
        checks = self._reserve[free[self._reserve]]
        if self._model is not None and every and (number + 1) % every == 0 and checks.size:
            return int(checks[0]), "check"  # before there is a model, there is nothing to check
        others = free.copy()
        others[self._reserve] = False
        if not others.any():
            others = free  # only those are left that were kept for checks
        if self.config["choice"] == "random":
            return int(self.numbers("random", number).choice(np.flatnonzero(others))), "random"
        phase = "initial" if self._model is None else "curious"
        scored = np.flatnonzero(others & np.isfinite(scores))
        if scored.size:
            return int(scored[scores[scored].argmax()]), phase
        return int(np.flatnonzero(others)[0]), phase  # all of the lattice is measured

    def _calibrate(self, model: Model) -> Calibration:
        expected, found = np.array(self._checks).reshape(-1, 2).T
        # Earlier runs say how wrong the model is as long as this one has hardly begun.
        present = slice(-self._learned_at if self._learned_at >= PRESENT_FROM else None, None)
        return Calibration.of(expected, found, model.expected[present], model.found[present])

    def _mean(self, posterior: Posterior) -> Values:
        """Return the mean scores of all candidates, (r, N)."""
        if len(self._working) == len(self.pool):
            return posterior.mean
        return posterior.mean_at(np.arange(len(self.pool)))


def _lattice(grid: tuple[int, int]) -> Indices:
    """Return candidates that lie evenly among all of a `grid`, at most :data:`WORKING`."""
    rows, columns = grid
    step = 1
    while -(-rows // step) * -(-columns // step) > WORKING:
        step += 1
    return np.arange(rows * columns).reshape(grid)[step // 2 :: step, step // 2 :: step].ravel()


def _nearest_of(lattice: Indices, grid: tuple[int, int]) -> Indices:
    """Return which of the `lattice` lies nearest to each candidate, (N,)."""
    if len(lattice) == grid[0] * grid[1]:
        return np.arange(len(lattice))
    y, x = np.indices(grid).reshape(2, -1)
    _, nearest = KDTree(np.stack([y[lattice], x[lattice]], axis=1)).query(np.stack([y, x], axis=1))
    return np.asarray(nearest, dtype=np.int64)
