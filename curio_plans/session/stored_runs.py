"""Questions to stored runs, at a prompt."""

from agents.protocols import Config
from curio_plans.documents.reemit import Callback, reemit
from curio_plans.store.storage import Storage
from curio_plans.study.common import Build
from curio_plans.study.counterfactual import Counterfactual, counterfactual
from curio_plans.study.explain import Explanation, explain
from curio_plans.study.replay import Verdict, verify


class StoredRuns:
    """Questions to the runs of a storage; each method returns a result to print.

    A run is named as in :meth:`curio_plans.store.Storage.resolve`. A run that resumes another counts as one with it.

    Parameters
    ----------
    storage : Storage
        Where the runs are.
    build : callable
        Makes an agent from its config.
    """

    def __init__(self, storage: Storage, build: Build) -> None:
        self._storage, self._build = storage, build

    def verify(self, uid: str = "latest") -> Verdict:
        """Let the stored agent decide again; see :func:`curio_plans.study.replay.verify`."""
        return verify(self._storage.lineage(uid), self._build, stored=self._storage.lineage)

    def what_if(self, agent: Config, uid: str = "latest") -> Counterfactual:
        """Let another agent decide; see :func:`curio_plans.study.counterfactual.counterfactual`."""
        return counterfactual(self._storage.lineage(uid), self._build, agent, stored=self._storage.lineage)

    def emit(self, callback: Callback, uid: str = "latest", *, pace: float | None = None) -> None:
        """Give the documents to a callback again; see :func:`curio_plans.documents.reemit.reemit`."""
        reemit(self._storage.lineage(uid), callback, pace=pace)

    def explain(self, point: int, uid: str = "latest") -> Explanation:
        """Say why point 1 … was measured there; see :func:`curio_plans.study.explain.explain`."""
        return explain(self._storage.lineage(uid), point, stored=self._storage.lineage)
