"""The agents of a place where runs let them think: each a fold over the records of one run."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from agents.place import describe_place
from agents.protocols import (
    Agent,
    Config,
    Context,
    EstimatesError,
    HasLatent,
    LearnsFromPast,
    TakesSteering,
)
from curio_plans.elsewhere.wire import VERSION, Chain, WireError, pack, read_record, unpack
from curio_plans.run.status import Worker

KEPT = 16
"""So many agents are kept; the one that was asked longest ago goes first. It is folded again when it is asked again."""

_REPLIES = 2
"""So many replies to a run are kept, for one that asks again."""

Reply = tuple[int, bytes]
"""HTTP status and body."""


@dataclass(eq=False)
class Fold:
    """One agent, and what it holds.

    Attributes
    ----------
    agent : Agent
    config : dict
        As the run gave it.
    chain : Chain
        Names the records that the agent has ingested.
    """

    agent: Agent
    config: Config
    chain: Chain

    def take(self, start: int, digest: str, records: list[bytes]) -> bool:
        """Ingest records that come after the first `start` ones, which have this digest; all or, on an error, none.

        Those that the agent holds already are passed over. Return whether it now holds exactly these; if not, it holds
        what it held before.
        """
        held, known = len(self.chain), self.chain.digests
        if not 0 <= start <= held <= start + len(records) or known[start] != digest:
            return False
        digests = self.chain.after(start, records)
        if digests[: held - start] != known[start + 1 :]:
            return False
        if new := records[held - start :]:
            self.agent.ingest(*(read_record(record) for record in new))
            self.chain.digests += digests[held - start :]
        return True


class Folds:
    """Agents by the name of a run's fold. All think in one thread, one after the other.

    More than one at a time would change the numbers: the count of computing threads belongs to the whole process.

    Parameters
    ----------
    build : callable
        Makes an agent from its config.
    tell : callable
        Gets a line for whoever watches the place.
    """

    def __init__(self, build: Callable[[Config], Agent], tell: Callable[[str], Any] = lambda _: None) -> None:
        self._build, self._tell = build, tell
        self._thread = Worker("thinking")
        self._lock = threading.Lock()
        self._replies: OrderedDict[str, OrderedDict[str, Future[Reply]]] = OrderedDict()  # by fold and request
        self._folds: OrderedDict[str, Fold] = OrderedDict()  # used in the thinking thread only

    def close(self) -> None:
        """End the thread after what it is doing."""
        self._thread.close()

    def describe(self, body: bytes) -> "Future[Reply]":
        """Say what the agent of a config is; it is made and dropped."""
        return self._once("", body, lambda: self._describe(body))

    def ask(self, name: str, body: bytes) -> "Future[Reply]":
        """Give the fold `name` what a request says. A request that is repeated gets the reply of the first."""
        return self._once(name, body, lambda: self._do(name, body))

    def _once(self, name: str, body: bytes, work: Callable[[], Reply]) -> "Future[Reply]":
        """Do what a request says, unless that has begun already, or was done lately."""
        digest = hashlib.sha256(body).hexdigest()
        with self._lock:
            replies = self._replies.setdefault(name, OrderedDict())
            self._replies.move_to_end(name)
            while len(self._replies) > KEPT:
                self._replies.popitem(last=False)
            known = replies.get(digest)
            if known is None or (known.done() and known.result()[0] != 200):
                replies[digest] = known = self._thread.submit(lambda: self._replied(work))
                while len(replies) > _REPLIES:
                    replies.popitem(last=False)
            return known

    def _replied(self, work: Callable[[], Reply]) -> Reply:
        try:
            return work()
        except WireError as error:
            return 400, pack({"error": "WireError", "message": str(error)})
        except Exception as error:  # noqa: BLE001  whatever an agent raises belongs to the run
            return 422, pack({"error": type(error).__name__, "message": str(error)})

    def _describe(self, body: bytes) -> Reply:
        agent = self._build(_message(body)["config"])
        abilities = {
            "estimate": isinstance(agent, EstimatesError),
            "latent": isinstance(agent, HasLatent),
            "learns_from_past": isinstance(agent, LearnsFromPast) and agent.learns_from_past,
            "takes_steering": isinstance(agent, TakesSteering) and agent.takes_steering,
        }
        return 200, pack(
            {
                "config": dict(agent.config), "parts": agent.parts, "losses": agent.losses, "abilities": abilities,
                "place": describe_place(agent.config),
            }
        )  # fmt: skip

    def _do(self, name: str, body: bytes) -> Reply:
        message = _message(body)
        config, question = message["config"], message["question"]
        fold = self._folds.get(name)
        if fold is None or fold.config != config:
            fold = Fold(self._build(config), config, Chain(config))
            self._tell(f"{name[:8]}  {config.get('agent')}: a new run")
        self._folds[name] = fold
        self._folds.move_to_end(name)
        while len(self._folds) > KEPT:
            self._folds.popitem(last=False)
        whole = fold.take(message["from"], message["digest"], message["records"])
        held = {"held": len(fold.chain), "digest": fold.chain.last}
        if not whole:
            return 409, pack(held)
        answer = None if question is None else _answer(fold.agent, question)
        if question is not None and question.get("ask") == "suggest":
            self._tell(f"{name[:8]}  {config.get('agent')}: decided from {len(fold.chain)} records")
        return 200, pack({**held, "answer": answer, "place": describe_place(fold.agent.config)})


def _message(body: bytes) -> Mapping[str, Any]:
    message = unpack(body)
    if not isinstance(message, dict) or message.get("version") != VERSION:
        raise WireError(
            f"expected a request of format {VERSION}; install the same version of curio-plans on both sides"
        )
    if not isinstance(message.get("config"), dict):
        raise WireError("expected the config of an agent")
    needed = {"from": int, "digest": str, "records": list}
    if "question" in message and not all(isinstance(message.get(name), kind) for name, kind in needed.items()):
        raise WireError(f"expected {', '.join(needed)} in a request")
    return message


def _answer(agent: Any, question: Mapping[str, Any]) -> Any:
    context = question.get("context")
    if not isinstance(context, Context | None):
        raise WireError("expected a context")
    match question.get("ask"):
        case "suggest":
            return agent.suggest(question["n"], context)
        case "report":
            return agent.report(context)
        case "estimate":
            return agent.estimate()
        case "latent":
            return agent.latent()
    raise WireError(f"expected suggest, report, estimate or latent, got {question.get('ask')!r}")
