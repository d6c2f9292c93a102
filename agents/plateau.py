"""A way out of what cannot be learned: regions of pure noise keep a high error for ever, and hold a curious agent.

The remedies are those that Vatsavai et al., Digital Discovery 2025, doi 10.1039/d5dd00119f, name: avoid patches similar
to past ones while the loss does not fall, put noise into the choice, ask the human.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA

from agents.base import BaseAgent
from agents.protocols import (
    Agent,
    Answer,
    Config,
    Context,
    Observation,
    Pool,
    Question,
    Record,
    RecordError,
    Report,
    Suggestion,
)

CONTINUE, AVOID_SIMILAR, EXCLUDE = "continue", "avoid similar", "exclude this region"
CHOICES = (CONTINUE, AVOID_SIMILAR, EXCLUDE)
"""What a human may answer."""

QUESTION = "The agent no longer learns"
"""How the question begins."""

COMPONENTS = 10
"""Principal components of patches in which likeness is measured."""


@dataclass(frozen=True)
class Plateau:
    """A stretch of observations over which the loss does not fall.

    Attributes
    ----------
    since : int
        Number of observations when it was noticed.
    answer : str
        What the human said; empty before.
    """

    since: int
    answer: str = ""


class PlateauEscape(BaseAgent):
    """Lets another agent decide, and steps in while that one's loss does not fall.

    Parameters
    ----------
    config : mapping
        With ``seed``, ``inner`` (the other agent's config), ``remedy`` (``"avoid-similar"``, ``"noise"`` or ``"ask"``),
        ``window``, ``tolerance``, ``avoid`` and ``noise``.
    inner : Agent
        The other agent; it must have a loss.
    """

    snapshot: ClassVar[tuple[str, ...]] = (
        *BaseAgent.snapshot, "_history", "_plateau", "_barred", "_seen", "_learned",
    )  # fmt: skip

    def __init__(self, config: Config, inner: Agent) -> None:
        super().__init__(config)
        if not inner.losses:
            raise ValueError(f"expected an agent with a loss that can stop falling; {inner.config['agent']!r} has none")
        self.parts, self.losses = inner.parts, inner.losses
        self._inner = inner
        self._history: list[float] = []  # the inner agent's first loss after each observation
        self._learned: list[int] = []
        self._plateau: Plateau | None = None
        self._barred: set[int] = set()  # candidates that a human excluded
        self._seen: Pool | None = None

    def ingest(self, *records: Record) -> None:
        """Take records in the order in which they happened; all of them or, if one is malformed, none."""
        for record in records:
            # The text of the questions begins like no other agent's, so an answer can be checked before it is learned.
            if isinstance(record, Answer) and record.question.startswith(QUESTION) and record.answer not in CHOICES:
                raise RecordError(f"expected one of {', '.join(CHOICES)} as an answer, got {record.answer!r}")
        super().ingest(*records)

    def suggest(self, n: int = 1, context: Context | None = None) -> Sequence[Suggestion] | Question:  # type: ignore[override]
        """Return the next `n` distinct places, best first, or once a plateau the question what to do about it."""
        self.catch_up()
        if self._waiting:
            return self._question()
        return super().suggest(n, context)

    def report(self, context: Context | None = None) -> Report:
        """Return what the inner agent believes."""
        self.catch_up()
        return self._inner.report(context)

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return the inner agent's choice, or another one while its loss does not fall."""
        context = replace(context, avoid=(*context.avoid, *sorted(self._barred)))
        remedy = self._remedy
        if remedy == "avoid-similar":
            free = self.available(context)
            similar = free[self._likeness(free).argsort(kind="stable")]
            # What is similar is avoided as far as enough other places are left.
            similar = similar[: min(int(self.config["avoid"] * len(free)), len(free) - n)]
            context = replace(context, avoid=(*context.avoid, *similar.tolist()))
            return [replace(suggestion, phase="avoiding similar") for suggestion in self._ask(n, context)]
        chosen = self._ask(n, context)
        return self._disturb(chosen, context) if remedy == "noise" else chosen

    def available(self, context: Context) -> NDArray[np.int64]:
        """Return the candidates that are left, see :meth:`BaseAgent.available`, outside of what a human excluded."""
        return np.setdiff1d(super().available(context), sorted(self._barred))

    def learn(self, record: Record) -> None:
        """Let the inner agent learn, and watch its loss."""
        self._inner.ingest(record)
        if isinstance(record, Pool):
            self._seen = record
        elif isinstance(record, Answer):
            self._take(record)
        elif isinstance(record, Observation):
            self._learned = [*self._learned, record.index]
            self._history = [*self._history, self._inner.report().losses[self.losses[0]]]
            self._watch()

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot for :meth:`load_state`."""
        return {**super().state(), "inner": self._inner.state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot of an agent with the same config."""
        super().load_state(state)
        self._inner.load_state(state["inner"])

    def _ask(self, n: int, context: Context) -> list[Suggestion]:
        suggestions = self._inner.suggest(n, context)
        if isinstance(suggestions, Question):
            raise TypeError(f"{self._inner.config['agent']!r} asks a question; let it decide without plateau-escape")
        return list(suggestions)

    def _watch(self) -> None:
        """Notice whether the loss fell over the last window, compared with the one before."""
        window = self.config["window"]
        losses = np.array(self._history[-2 * window :])
        flat = len(losses) == 2 * window and bool(
            losses[window:].mean() >= (1 - self.config["tolerance"]) * losses[:window].mean()
        )
        if not flat:
            self._plateau = None
        elif self._plateau is None:
            self._plateau = Plateau(len(self._history))

    @property
    def _remedy(self) -> str:
        """What is done now; empty while the loss falls or a human wants to go on as it is."""
        if self._plateau is None:
            return ""
        if self.config["remedy"] == "ask":
            return "avoid-similar" if self._plateau.answer == AVOID_SIMILAR else ""
        return str(self.config["remedy"])

    @property
    def _waiting(self) -> bool:
        """Whether the agent needs an answer before it can go on."""
        return self.config["remedy"] == "ask" and self._plateau is not None and not self._plateau.answer

    def _question(self) -> Question:
        """Ask about this plateau; asked again, the question is the same."""
        if self._plateau is None:
            raise ValueError("expected a plateau to ask about")
        window = self.config["window"]
        upto = self._plateau.since
        centre, radius = self._region()
        return Question(
            f"{QUESTION} over the last {window} of {upto} spectra: {self.losses[0]} "
            f"{np.mean(self._history[upto - window : upto]):.4g}, before that "
            f"{np.mean(self._history[upto - 2 * window : upto - window]):.4g}. Half of them lie within {radius:.4g} nm "
            f"of x = {centre[0]:.4g} nm, y = {centre[1]:.4g} nm. What now?",
            CHOICES,
        )

    def _take(self, answer: Answer) -> None:
        """Do what a human answered; answers to other questions are passed over."""
        if self._waiting and self._plateau is not None and answer.question == self._question().text:
            if answer.answer == EXCLUDE:
                centre, radius = self._region()
                distance = np.hypot(*(self._image.positions - centre).T)
                self._barred = self._barred | set(np.flatnonzero(distance <= radius).tolist())
            self._plateau = replace(self._plateau, answer=answer.answer)

    @property
    def _stretch(self) -> tuple[int, int]:
        """First and last + 1 of the observations that the plateau was noticed with: those of the last window."""
        upto = self._plateau.since if self._plateau else len(self._learned)
        return max(upto - self.config["window"], 0), upto

    def _region(self) -> tuple[NDArray[np.float64], float]:
        """Return the median place in nm of that stretch, and the median distance from it."""
        places = self._image.positions[self._learned[slice(*self._stretch)]]
        centre = np.median(places, axis=0)
        return centre, float(np.median(np.hypot(*(places - centre).T)))

    def _likeness(self, candidates: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how far each candidate's patch is from those that the plateau was noticed with, (m,).

        Distances are taken in the principal components of the patches: there the noise of single pixels counts little.
        """
        patches = self._image.patches.reshape(len(self._image), -1).astype(np.float64)  # (N, C, h, w) → (N, C·h·w)
        components = PCA(min(COMPONENTS, *patches.shape), svd_solver="covariance_eigh").fit_transform(patches)
        past = self._learned[slice(*self._stretch)]
        return np.asarray(cdist(components[candidates], components[past]).min(axis=1))

    def _disturb(self, chosen: list[Suggestion], context: Context) -> list[Suggestion]:
        """Move each choice by Gaussian noise, and go to the nearest free candidate."""
        positions = self._image.positions
        width = self.config["noise"] * np.ptp(positions, axis=0).max()  # nm
        numbers = self.numbers("noise", len(self._learned), len(context.pending))
        free = self.available(context)
        moved = []
        for suggestion in chosen:
            target = positions[suggestion.index] + numbers.normal(scale=width, size=2)
            index = int(free[((positions[free] - target) ** 2).sum(axis=1).argmin()])
            free = free[free != index]
            moved.append(Suggestion(index, "noise", parts=dict.fromkeys(self.parts, float("nan"))))
        return moved

    @property
    def _image(self) -> Pool:
        if self._seen is None:
            raise ValueError("expected a Pool before anything else; ingest one first")
        return self._seen
