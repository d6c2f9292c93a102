"""The agent ``curio``: curiosity about the error that a measurement can remove."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from agents.curio.calibration import Calibration
from agents.curio.candidates import Candidates
from agents.curio.committee import Committee
from agents.curio.kernel import Kernel
from agents.curio.lessons import centre, sample
from agents.curio.model import Model, learn_model
from agents.curio.posterior import Posterior
from agents.curio.sites import Sites, View
from agents.curio.spectra import Scored
from agents.curio.trust import pays
from agents.protocols import Context, Estimate, Observation, Past, Pool, Record, Report, Suggestion
from agents.threaded import ThreadedAgent

Values = NDArray[np.float64]

GROWTH = 1.35
"""The model is learned again when the number of spectra has grown by this factor."""

ROUNDS = 3
"""The model is learned anew at most so often until the same spectra are distrusted: bad ones hide each other."""

SETTLES = 10.0
"""… and the noise of none has grown by this factor."""

SETTLED = 512
"""The model is not learned again beyond this many spectra."""

PRESENT_FROM = 10
"""From this many spectra of its own on, a run does not use prior runs to tell how wrong the model is."""

FEW = 5.0
"""Where fewer spectra than this carry the variance, the error of the map may be as large as without a model."""

TINY = np.finfo(float).tiny

ROUNDING = 1e-12
"""Spectra that differ by less of their size are the same."""


class CurioAgent(ThreadedAgent):
    """See :mod:`agents.curio`.

    Parameters
    ----------
    config : mapping
        With ``seed``, ``threads``, ``initial``, ``checks``, ``choice``, ``travel``, ``surroundings``,
        ``position`` and ``robust``.
    """

    @dataclass
    class Memory(ThreadedAgent.Memory):
        """What was learned of the spectra.

        Attributes
        ----------
        model : Model or None
            As last learned.
        modelled : int
            Number of spectra of this run that the model was learned from.
        inflation : list of float
            The noise of each spectrum of this run, relative to that of a good one.
        checks : list of (float, float)
            The error of each check: expected and found.
        """

        model: Model | None = None
        modelled: int = 0
        inflation: list[float] = field(default_factory=list)
        checks: list[tuple[float, float]] = field(default_factory=list)

    memory: Memory
    parts = ("variance", "noise")
    losses = ("leave_one_out",)
    learns_from_past = True

    def learn(self, record: Record) -> None:
        """Learn from the next record."""
        if isinstance(record, Pool):
            if self.memory.model is None and self._prior_count > 2:
                self._learn_model()
        elif isinstance(record, Observation):
            self._observe(record)

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return checks where they are due, otherwise where most error would be removed, one after the other.

        With ``travel``, a batch comes in the order of a short way.
        """
        posterior, model = self._posterior, self.memory.model
        if context.pending or n > 1:
            posterior = posterior.branch()
        for index in context.pending:
            posterior.imagine(index)
        free = np.zeros(len(self.pool), dtype=bool)
        free[self.available(context)] = True
        here = last = self._place(context)
        first = self.memory.learned + len(context.pending)
        suggestions: list[Suggestion] = []
        for number in range(first, first + n):
            scores = self._scores(posterior, last)
            index, phase = self._pick(number, free, scores)
            parts = dict.fromkeys(self.parts, float("nan"))
            if model is not None:
                _, variance = posterior.predict(index)
                parts = {"variance": float(model.error(variance)) - model.noise, "noise": model.noise}
            suggestions.append(Suggestion(index, phase, float(scores[index]), parts))
            free[index], last = False, index
            if len(suggestions) < n:
                posterior.imagine(index)
        return self._ordered(suggestions, here) if self.config["travel"] and here is not None else suggestions

    def believe(self, context: Context | None) -> Report:
        """Return the maps, see :mod:`agents.curio`, and the predicted spectra."""
        model = self.memory.model
        if model is None:
            return Report(dict.fromkeys(self.losses, float("nan")), {}, None)
        posterior, calibration = self._posterior, self._calibrate(model)
        error = calibration.factor * model.error(posterior.variance)[self._candidates.nearest]
        low, high = calibration.quantiles
        maps = {
            "predicted_error": error,
            "error_low": low * error,
            "error_high": high * error,
            "reducible_error": error - calibration.factor * model.noise,
        }
        if context is not None:
            maps["score"] = self._scores(posterior, self._place(context))
        every = len(self._candidates.tracked) == len(self.pool)
        mean = posterior.mean if every else posterior.mean_at(np.arange(len(self.pool)))  # (r, N)
        small = {name: values.astype(np.float32) for name, values in maps.items()}
        prediction = model.basis.compose(mean.T).astype(np.float32)
        return Report(
            {"leave_one_out": model.left_out}, small, prediction, model.words([each.view for each in self._views])
        )

    def estimate(self) -> Estimate | None:
        """Return how well everything ingested so far is known; None without a model, or if no spectrum differs."""
        with self.thinking():
            return None if self.memory.model is None else self._estimate(self.memory.model)

    def _estimate(self, model: Model) -> Estimate | None:
        posterior, calibration = self._posterior, self._calibrate(model)
        left = np.ones(len(self.pool), dtype=bool)
        left[self.measured] = False
        errors = model.error(posterior.variance)[self._candidates.nearest][left]
        error = float(errors.mean()) if errors.size else model.noise
        # The variance of spectra over the pool is that of the prediction plus the error of the prediction.
        predicted = float(model.basis.importance @ posterior.mean.var(axis=1))
        spread = predicted + calibration.factor * error
        if spread <= (ROUNDING * np.abs(model.basis.mean).max()) ** 2:
            return None  # all spectra are the same: an error relative to their spread is 0/0
        gain = float(posterior.reduction().max())
        high = calibration.high * error / spread
        if self._carriers(model) < FEW:
            high = max(high, 1.0)  # as many more of the rare ones may be unmet, and hold nearly all of the variance
        return Estimate(
            error=calibration.factor * error / spread,
            low=calibration.low * error / spread,
            high=high,
            noise=calibration.factor * model.noise / spread,
            gain=calibration.factor * gain / spread,
            checks=calibration.checks,
        )

    def _carriers(self, model: Model) -> float:
        """Return how many spectra of this run carry its variance: (Σ s)² / Σ s² of their squared deviations s."""
        size = np.array([((_values(one) - model.basis.mean) ** 2).mean() for one in self.learned])
        total = float(size.sum())
        return total**2 / float((size**2).sum()) if total else np.inf

    def _observe(self, observation: Observation) -> None:
        """Check the prediction of a spectrum, decide how far to trust it, and learn the model again if it is time."""
        memory, model = self.memory, self.memory.model
        if model is None:
            memory.inflation.append(1.0)
            if memory.learned >= int(self.config["initial"]):
                self._learn_model()
            return
        centred = _values(observation) - model.basis.mean  # (K,)
        mean, variance = self._posterior.predict(observation.index)
        if observation.index in self._candidates.checks:
            found = float(((centred - model.basis.restore(mean)) ** 2).mean())
            memory.checks.append((float(model.error(variance)), found))
        deviation = model.basis.project(centred) - mean
        memory.inflation.append(float(model.distrust(deviation**2, variance)))
        if GROWTH * max(memory.modelled, 4) <= memory.learned <= SETTLED:
            self._learn_model()

    def _learn_model(self) -> None:
        """Find basis, kernel and the trust in each spectrum, with prior runs only if they help.

        They help if the present spectra, each predicted from all others, are predicted better. The geometric mean of
        the errors decides, so that a few bad spectra do not.
        """
        memory, prior = self.memory, self._prior_count
        alone = self._model_of([]) if memory.learned >= int(self.config["initial"]) else None
        together = self._model_of(self._lessons) if prior > 2 else None
        if alone is not None and together is not None:
            with_them, without = (np.log(each + TINY).mean() for each in (together.found[prior:], alone.found))
            together = together if with_them < without else None
        memory.model = together or alone
        memory.modelled = memory.learned
        if memory.model is not None:
            scored = memory.model.scored
            memory.inflation = scored.inflation[len(scored) - memory.learned :].tolist()
        self.forget("_as_modelled")

    def _model_of(self, past: Sequence[Past]) -> Model:
        """Return the model of the spectra of `past` runs and of this one."""
        before, count = self.memory.model, self._prior_count if past else 0
        known = np.ones(count)  # the noise of their spectra
        if before is not None and len(before.scored) > self.memory.modelled:
            known = before.scored.inflation[:count]
        inflation = np.concatenate([known, self.memory.inflation])
        runs = [*(run.observations for run in past), self.learned]
        ends = np.cumsum([len(run) for run in runs])[:-1]
        size = len(self.pool)
        places = np.concatenate([np.arange(size, size + count), self.measured[: self.memory.learned]])

        def learn(doubt: Values, before: Model | None) -> Model:
            centred, mean = centre(zip(runs, np.split(doubt, ends), strict=True))
            numbers, position = self.numbers("model", self.memory.learned), self.config["position"]
            return learn_model(
                self._views, places, centred,
                mean=mean, inflation=doubt, before=before, numbers=numbers, position=position,
            )  # fmt: skip

        first = learn(np.ones(len(places)), before)
        doubt = np.maximum(first.doubt, inflation)
        trusting = replace(first, typical=np.inf)
        if not self.config["robust"] or (doubt == 1).all():
            return trusting
        # The kernels of spectra that were trusted too far are no place to begin.
        doubting, last = learn(doubt, None), doubt
        for _ in range(ROUNDS - 1):
            doubt = doubting.doubt
            if ((doubt > 1) == (last > 1)).all() and (doubt < SETTLES * last).all():
                break
            doubting, last = learn(doubt, doubting), doubt
        paid = before is not None and bool(np.isfinite(before.typical))
        if not pays(first.found, doubting.found, last > 1, before=paid):
            return trusting
        # The verdict of the last round counts, though nothing was learned with it.
        return replace(doubting, scored=replace(doubting.scored, inflation=doubting.doubt))

    @property
    def _posterior(self) -> Committee:
        """What the spectra say; each one since the model was learned is added by itself."""
        posterior, model = self._as_modelled, self.memory.model
        done = posterior.count - (len(model.scored) - self.memory.modelled if model else 0)
        for observation, inflation in zip(self.learned[done:], self.memory.inflation[done:], strict=False):
            if model is None:
                posterior.imagine(observation.index)
            else:
                scores = model.basis.project(_values(observation) - model.basis.mean)
                posterior.observe(observation.index, scores, inflation)
        return posterior

    @cached_property
    def _as_modelled(self) -> Committee:
        """The posterior of the spectra that the model was learned from; before, that of the prior kernel."""
        model, use = self.memory.model, self._candidates
        if model is not None:
            return model.posterior(self._views, tracked=use.tracked, integration=use.integration)
        unknown = Scored(np.empty(0, dtype=np.int64), np.empty((0, 1)), np.empty(0))
        posteriors = [
            Posterior(
                sites,
                Kernel.prior(len(sites.groups), 1),
                unknown,
                tracked=use.tracked,
                integration=use.integration,
                importance=np.ones(1),
            )
            for sites in self._views
        ]
        return Committee(posteriors, np.full(len(posteriors), 1 / len(posteriors)))

    @cached_property
    def _views(self) -> tuple[Sites, ...]:
        chosen = self.config["surroundings"]
        views: tuple[View, ...] = ("rings", "scales", "patch") if chosen == "all" else (chosen,)
        return tuple(Sites.of(self.image, self._lessons, view=view) for view in views)

    @cached_property
    def _candidates(self) -> Candidates:
        every = int(self.config["checks"])
        integration, checks = self.numbers("integration"), self.numbers("checks")
        return Candidates.of(self.image, every, integration=integration, checks=checks)

    @cached_property
    def _lessons(self) -> tuple[Past, ...]:
        past = self.memory.past
        return sample(past, (self.numbers("past", number) for number in range(len(past))))

    @property
    def _prior_count(self) -> int:
        """Number of spectra of prior runs to learn from."""
        return sum(len(run.observations) for run in self._lessons)

    def _place(self, context: Context) -> int | None:
        """Return the candidate where the scanner will be, if it was sent to any."""
        return next(iter([*context.pending[::-1], *self.measured[::-1]]), None)

    def _scores(self, posterior: Committee, here: int | None) -> Values:
        """Return by how much a spectrum at each candidate would lower the mean error, (N,); NaN where not tracked.

        With ``travel``, per time: that of one spectrum, and of the move there.
        """
        scores = np.full(len(self.pool), np.nan)
        scores[self._candidates.tracked] = posterior.reduction()
        travel = float(self.config["travel"])
        if travel and here is not None:
            positions = self.pool.positions
            scores /= 1 + cdist(positions[[here]], positions)[0] / travel
        return scores

    def _pick(self, number: int, free: NDArray[np.bool_], scores: Values) -> tuple[int, str]:
        """Return the candidate for the point of this `number`, and its phase."""
        reserved, modelled = self._candidates.checks, self.memory.model is not None
        every = int(self.config["checks"])
        checks = reserved[free[reserved]]
        if modelled and every and (number + 1) % every == 0 and checks.size:
            return int(checks[0]), "check"  # before there is a model, there is nothing to check
        others = free.copy()
        others[reserved] = False
        if not others.any():
            others = free  # only reserved ones are left
        if self.config["choice"] == "random":
            return int(self.numbers("random", number).choice(np.flatnonzero(others))), "random"
        phase = "curious" if modelled else "initial"
        scored = np.flatnonzero(others & np.isfinite(scores))
        if scored.size:
            return int(scored[scores[scored].argmax()]), phase
        return int(np.flatnonzero(others)[0]), phase  # all tracked ones are measured

    def _ordered(self, suggestions: list[Suggestion], here: int) -> list[Suggestion]:
        """Return the suggestions in the order in which each is the nearest to the one before."""
        positions, left, ordered = self.pool.positions, list(suggestions), []
        place = positions[here]
        while left:
            away = [float(np.hypot(*(positions[suggestion.index] - place))) for suggestion in left]
            ordered.append(left.pop(int(np.argmin(away))))
            place = positions[ordered[-1].index]
        return ordered

    def _calibrate(self, model: Model) -> Calibration:
        modelled = self.memory.modelled
        expected, found = np.array(self.memory.checks).reshape(-1, 2).T
        # Prior runs say how wrong the model is as long as this one has hardly begun.
        present = slice(-modelled if modelled >= PRESENT_FROM else None, None)
        return Calibration.of(expected, found, model.expected[present], model.found[present])


def _values(observation: Observation) -> Values:
    return np.asarray(observation.spectrum, dtype=np.float64)
