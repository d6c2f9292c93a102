"""A way off plateaus: regions of pure noise keep a high error for ever, and hold a curious agent.

The remedies are those named by Vatsavai et al., Digital Discovery 2025, doi 10.1039/d5dd00119f: while the loss does not
fall, avoid patches similar to past ones, add noise to the choice, or ask the human.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

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
    Question,
    Record,
    RecordError,
    Report,
    Suggestion,
)

CONTINUE, AVOID_SIMILAR, EXCLUDE = "continue", "avoid similar", "exclude this region"
CHOICES = (CONTINUE, AVOID_SIMILAR, EXCLUDE)
"""The answers that a human can give."""

QUESTION = "The agent no longer learns"
"""The beginning of the question."""

COMPONENTS = 10
"""Number of principal components of the patches in which similarity is measured."""


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
    """Lets another agent decide, and steps in while the loss of that one does not fall.

    Parameters
    ----------
    config : mapping
        With ``seed``, ``inner`` (the other agent's config), ``remedy`` (``"avoid-similar"``, ``"noise"`` or ``"ask"``),
        ``window``, ``tolerance``, ``avoid`` and ``noise``.
    inner : Agent
        The other agent; it must have a loss.
    """

    @dataclass
    class Memory(BaseAgent.Memory):
        """The inner agent's first loss after each observation; the plateau, and what a human excluded."""

        losses: list[float] = field(default_factory=list)
        plateau: Plateau | None = None
        barred: set[int] = field(default_factory=set)

    memory: Memory

    def __init__(self, config: Config, inner: Agent) -> None:
        super().__init__(config)
        if not inner.losses:
            raise ValueError(f"expected an agent with a loss that can stop falling; {inner.config['agent']!r} has none")
        self.parts, self.losses = inner.parts, inner.losses
        self._inner = inner

    def ingest(self, *records: Record) -> None:
        """Take records in the order in which they happened; all of them or, if one is malformed, none."""
        for record in records:
            # No other agent's questions begin like these, so an answer can be checked before it is learned.
            if isinstance(record, Answer) and record.question.startswith(QUESTION) and record.answer not in CHOICES:
                raise RecordError(f"expected one of {', '.join(CHOICES)} as an answer, got {record.answer!r}")
        super().ingest(*records)

    def suggest(self, n: int = 1, context: Context | None = None) -> Sequence[Suggestion] | Question:  # type: ignore[override]
        """Return the next `n` distinct places, best first, or once for each plateau the question what to do."""
        self.catch_up()
        if self._waiting:
            return self._question()
        return super().suggest(n, context)

    def believe(self, context: Context | None) -> Report:
        """Return what the inner agent believes."""
        return self._inner.report(context)

    def choose(self, n: int, context: Context) -> list[Suggestion]:
        """Return the inner agent's choice, or another one while its loss does not fall."""
        context = replace(context, avoid=(*context.avoid, *sorted(self.memory.barred)))
        remedy = self._remedy
        if remedy == "avoid-similar":
            free = self.available(context)
            similar = free[self._dissimilarity(free).argsort(kind="stable")]
            # Enough places must be left.
            similar = similar[: min(int(self.config["avoid"] * len(free)), len(free) - n)]
            context = replace(context, avoid=(*context.avoid, *similar.tolist()))
            return [replace(suggestion, phase="avoiding similar") for suggestion in self._ask(n, context)]
        chosen = self._ask(n, context)
        return self._disturb(chosen, context) if remedy == "noise" else chosen

    def available(self, context: Context) -> NDArray[np.int64]:
        """Return the candidates that are left, see :meth:`BaseAgent.available`, outside of what a human excluded."""
        return np.setdiff1d(super().available(context), sorted(self.memory.barred))

    def learn(self, record: Record) -> None:
        """Let the inner agent learn, and watch its loss."""
        self._inner.ingest(record)
        if isinstance(record, Answer):
            self._take_answer(record)
        elif isinstance(record, Observation):
            self.memory.losses.append(self._inner.report().losses[self.losses[0]])
            self._watch()

    def _ask(self, n: int, context: Context) -> list[Suggestion]:
        suggestions = self._inner.suggest(n, context)
        if isinstance(suggestions, Question):
            raise TypeError(f"{self._inner.config['agent']!r} asks a question; let it decide without plateau-escape")
        return list(suggestions)

    def _watch(self) -> None:
        """Compare the mean loss over the last window with that over the window before."""
        window = self.config["window"]
        losses = np.array(self.memory.losses[-2 * window :])
        flat = len(losses) == 2 * window and bool(
            losses[window:].mean() >= (1 - self.config["tolerance"]) * losses[:window].mean()
        )
        if not flat:
            self.memory.plateau = None
        elif self.memory.plateau is None:
            self.memory.plateau = Plateau(len(self.memory.losses))

    @property
    def _remedy(self) -> str:
        """The present remedy; empty while the loss falls or where a human wants to go on."""
        plateau = self.memory.plateau
        if plateau is None:
            return ""
        if self.config["remedy"] == "ask":
            return "avoid-similar" if plateau.answer == AVOID_SIMILAR else ""
        return str(self.config["remedy"])

    @property
    def _waiting(self) -> bool:
        """Whether the agent needs an answer before it can go on."""
        plateau = self.memory.plateau
        return self.config["remedy"] == "ask" and plateau is not None and not plateau.answer

    def _question(self) -> Question:
        """Ask about this plateau; asked again, the question is the same."""
        if self.memory.plateau is None:
            raise ValueError("expected a plateau to ask about")
        window, losses = self.config["window"], self.memory.losses
        upto = self.memory.plateau.since
        centre, radius = self._region()
        return Question(
            f"{QUESTION} over the last {window} of {upto} spectra: {self.losses[0]} "
            f"{np.mean(losses[upto - window : upto]):.4g}, before that "
            f"{np.mean(losses[upto - 2 * window : upto - window]):.4g}. Half of them lie within {radius:.4g} nm "
            f"of x = {centre[0]:.4g} nm, y = {centre[1]:.4g} nm. What now?",
            CHOICES,
        )

    def _take_answer(self, answer: Answer) -> None:
        """Do what a human answered; ignore answers to other questions."""
        plateau = self.memory.plateau
        if plateau is not None and self._waiting and answer.question == self._question().text:
            if answer.answer == EXCLUDE:
                centre, radius = self._region()
                distance = np.hypot(*(self.image.positions - centre).T)
                self.memory.barred |= set(np.flatnonzero(distance <= radius).tolist())
            self.memory.plateau = replace(plateau, answer=answer.answer)

    @property
    def _stretch(self) -> NDArray[np.int64]:
        """The candidates measured in the last window before the plateau was noticed."""
        upto = self.memory.plateau.since if self.memory.plateau else self.memory.learned
        return self.measured[max(upto - self.config["window"], 0) : upto]

    def _region(self) -> tuple[NDArray[np.float64], float]:
        """Return the median place in nm of that stretch, and the median distance from it."""
        places = self.image.positions[self._stretch]
        centre = np.median(places, axis=0)
        return centre, float(np.median(np.hypot(*(places - centre).T)))

    def _dissimilarity(self, candidates: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the distance of each candidate's patch from those of that stretch, (m,).

        Distances are between principal components of the patches, where the noise of single pixels counts little.
        """
        patches = self.image.patches.reshape(len(self.image), -1).astype(np.float64)  # (N, C, h, w) → (N, C·h·w)
        components = PCA(min(COMPONENTS, *patches.shape), svd_solver="covariance_eigh").fit_transform(patches)
        return np.asarray(cdist(components[candidates], components[self._stretch]).min(axis=1))

    def _disturb(self, chosen: list[Suggestion], context: Context) -> list[Suggestion]:
        """Move each choice by Gaussian noise, to the nearest free candidate."""
        positions = self.image.positions
        width = self.config["noise"] * np.ptp(positions, axis=0).max()  # nm
        numbers = self.numbers("noise", self.memory.learned, len(context.pending))
        free = self.available(context)
        moved = []
        for suggestion in chosen:
            target = positions[suggestion.index] + numbers.normal(scale=width, size=2)
            index = int(free[((positions[free] - target) ** 2).sum(axis=1).argmin()])
            free = free[free != index]
            moved.append(Suggestion(index, "noise", parts=dict.fromkeys(self.parts, float("nan"))))
        return moved
