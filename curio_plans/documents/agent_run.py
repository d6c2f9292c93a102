"""A run from which one can learn what an agent decided: its start document names the agent, and it has candidates."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, cast

from agents.protocols import Config, Past, Pool
from curio_plans.documents.events import Document, DocumentError, Stored
from curio_plans.documents.history import History
from curio_plans.documents.prior_runs import check_prior_runs, prior_runs_of
from curio_plans.documents.start import is_of_agent


class AgentRun(History):
    """A history with a start document that names an agent, and with a pool of candidates.

    Parameters
    ----------
    documents : iterable of (name, document)
        One run; where it resumes another one, after the documents of that.
    past : sequence of Past
        The prior runs of the agent.

    Raises
    ------
    DocumentError
        If no agent decided in this run, or it has no image.
    """

    def __init__(self, documents: Iterable[Document], past: Sequence[Past] = ()) -> None:
        super().__init__(documents, past)
        start = super().start
        if start is None:
            raise DocumentError("expected the documents of a run of an agent, got none")
        if not is_of_agent(start):
            raise DocumentError(
                f"run {start['uid'][:8]} of the plan {start.get('plan_name')!r} has no agent in its start document: "
                "expected a run of the plan 'curiosity', in which an agent decides; curio show draws any run"
            )
        if super().pool is None:
            raise DocumentError(
                f"run {start['uid'][:8]} has no image, so its candidates are unknown: it ended before the agent could "
                "decide; start a new run"
            )

    @classmethod
    def read(cls, documents: Iterable[Document], stored: Stored | None = None) -> Self:
        """Read a run together with the prior runs of its agent.

        Parameters
        ----------
        documents : iterable of (name, document)
            One run; where it resumes another one, after the documents of that.
        stored : callable, optional
            Gives the documents of prior runs.

        Raises
        ------
        DocumentError
            If no agent decided in this run, it has no image, or its documents are not in order; if a prior run is
            missing or changed.
        """
        documents = list(documents)
        run = cls(documents, prior_runs_of(documents, stored))
        check_prior_runs(run.start, run.past)
        return run

    @property
    def start(self) -> Mapping[str, Any]:
        """The start document."""
        return cast("Mapping[str, Any]", super().start)

    @property
    def pool(self) -> Pool:
        """The candidates."""
        return cast("Pool", super().pool)

    @property
    def config(self) -> Config:
        """The config of the agent."""
        return cast("Config", self.start["agent"])

    @property
    def uid(self) -> str:
        """The uid of the run; where it resumes others, its own."""
        return str(self.start["uid"])


def read_run(documents: Iterable[Document], stored: Stored | None = None) -> History:
    """Return the history of any run: an :class:`AgentRun` where an agent decided.

    Prior runs are read where they are stored; missing ones are left out.
    """
    documents = list(documents)
    past = prior_runs_of(documents, stored)
    try:
        return AgentRun(documents, past)
    except DocumentError:
        return History(documents, past)
