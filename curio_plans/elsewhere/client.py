"""An agent that thinks at another place: it gives records and questions to ``curio think`` there."""

import functools
import ssl
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from agents.protocols import (
    Config,
    Context,
    ExhaustedError,
    PlaceError,
    Question,
    Record,
    RecordError,
    Report,
    Suggestion,
)
from curio_plans.elsewhere.wire import MEDIA_TYPE, VERSION, Chain, WireError, pack, unpack
from curio_plans.rules.elsewhere import Elsewhere

TIMEOUT = httpx.Timeout(15.0, connect=5.0, write=120.0)
"""Of one exchange. The place answers each within 2 s, if only to say that it still thinks."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between two attempts to reach the place: the first, doubled each time, and the longest."""

_ERRORS: Mapping[str, type[Exception]] = {
    "RecordError": RecordError, "ExhaustedError": ExhaustedError, "OptionError": ValueError, "ValueError": ValueError,
    "UnknownAgentError": ValueError, "MissingExtraError": ValueError,
}  # fmt: skip
"""What an agent raises there is raised here; anything else as a RuntimeError."""

Told = Callable[[str], Any]


class RemoteAgent:
    """An :class:`agents.protocols.Agent` that thinks where ``curio think`` serves it.

    It keeps all records of its run. Each request says after how many of them it continues, with a digest of those, and
    each answer on how many it rests, with a digest of those. So an answer that rests on other records is never taken,
    and a place that has lost records – it was restarted – is given all that it lacks.

    Parameters
    ----------
    config : mapping
        ``{"agent": name, **options}``; options that are left out have the defaults of that place.
    elsewhere : Elsewhere
        Where it is, and how long to wait for it.
    key : str, optional
        What the place asks for.

    Raises
    ------
    PlaceError
        If the place cannot be reached, or refuses.
    ValueError
        If it has no such agent, or an option is wrong.
    """

    def __init__(self, config: Config, elsewhere: Elsewhere, key: str | None = None) -> None:
        self.elsewhere = elsewhere
        self.place: Mapping[str, Any] = {}
        self._http = _client(elsewhere.address, key)
        weakref.finalize(self, self._http.close)
        self._closed = threading.Event()
        described = self._describe(config)
        abilities = described["abilities"]
        self.config: Config = described["config"]
        self.parts: tuple[str, ...] = tuple(described["parts"])
        self.losses: tuple[str, ...] = tuple(described["losses"])
        self.learns_from_past = bool(abilities["learns_from_past"])
        self.takes_steering = bool(abilities["takes_steering"])
        for ability in ("estimate", "latent"):  # runtime_checkable protocols look at attributes
            if abilities[ability]:
                setattr(self, ability, functools.partial(self._ask, ability))
        self._name = uuid.uuid4().hex
        self._records: list[Record] = []
        self._chain = Chain(self.config)
        self._held = 0
        """How many of them the place should hold."""

    def ingest(self, *records: Record) -> None:
        """Take records in the order in which they happened; all of them or, if one is malformed, none."""
        self._exchange(records, None)

    def suggest(self, n: int = 1, context: Context | None = None) -> Sequence[Suggestion] | Question:
        """Return the next `n` distinct places, best first, or a question for the human."""
        answer: Sequence[Suggestion] | Question = self._ask("suggest", n=n, context=context)
        return answer

    def report(self, context: Context | None = None) -> Report:
        """Return losses, maps and prediction for what was ingested so far; with a `context` also a map of the score."""
        answer: Report = self._ask("report", context=context)
        return answer

    def state(self) -> Mapping[str, Any]:
        """Return a snapshot: the state of a fold follows from config and records."""
        return {"config": dict(self.config), "records": tuple(self._records)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot of an agent with the same config.

        Raises
        ------
        ValueError
            If the snapshot is that of another config.
        """
        if state["config"] != self.config:
            raise ValueError(f"expected the state of {self.config}, got that of {state['config']}")
        self._name, self._records, self._chain, self._held = uuid.uuid4().hex, [], Chain(self.config), 0
        self.ingest(*state["records"])

    def close(self) -> None:
        """Stop waiting for the place."""
        self._closed.set()

    def _ask(self, what: str, **arguments: Any) -> Any:
        return self._exchange((), {"ask": what, **arguments})

    def _describe(self, config: Config) -> Mapping[str, Any]:
        """Ask once what the agent of a config is."""
        status = 202
        try:
            while status == 202:  # it loads the agent's package
                status, reply = self._post("/describe", {"config": dict(config)})
        except httpx.TransportError as error:
            raise PlaceError(
                f"cannot reach the agents at {self.elsewhere.address}: {_say(error)}; start curio think there, or "
                "choose another address"
            ) from error
        if status != 200:
            raise self._error(status, reply)
        return reply

    def _exchange(self, new: Sequence[Record], question: Mapping[str, Any] | None) -> Any:
        """Give the place `new` records and whatever it lacks, and return what it answers to a question.

        Raises
        ------
        PlaceError
            If it does not answer in time, or refuses. Then, and if the agent raises, the new records were not taken.
        """
        wait = self.elsewhere.wait
        packed = [pack(record) for record in new]
        digests = self._chain.after(len(self._chain), packed)
        total, wanted = len(self._records) + len(new), digests[-1] if digests else self._chain.last
        start, pause = self._held, FIRST_PAUSE
        began = answered = time.monotonic()
        refused = 0
        while True:
            earlier = [pack(record) for record in self._records[start:]]
            try:
                status, reply = self._post(
                    f"/folds/{self._name}",
                    {
                        "config": dict(self.config), "from": start, "digest": self._chain.digests[start],
                        "records": [*earlier, *packed], "question": question,
                    },
                )  # fmt: skip
                trouble = f"it answers with HTTP status {status}" if status >= 500 else ""
            except httpx.TransportError as error:
                status, reply, trouble = 0, {}, _say(error)
            if self._closed.is_set():
                raise PlaceError("the run has ended")
            now = time.monotonic()
            if trouble:
                if now - answered >= wait:
                    raise PlaceError(
                        f"the agent at {self.elsewhere.address} has not answered for {now - answered:.0f} s: {trouble}"
                    )
                self._closed.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            answered, pause = now, FIRST_PAUSE
            if status == 202:
                if self.elsewhere.slow is not None and now - began >= self.elsewhere.slow:
                    raise PlaceError(
                        f"the agent at {self.elsewhere.address} has been thinking for {now - began:.0f} s about one "
                        "question"
                    )
                continue
            if status == 409 or (status == 200 and (reply["held"], reply["digest"]) != (total, wanted)):
                refused += 1
                if now - began >= wait:
                    raise PlaceError(f"at {self.elsewhere.address} the records of this run do not stay")
                start = self._continue_at(reply["held"], reply["digest"], refused)
                continue
            if status != 200:
                raise self._error(status, reply)
            self._records += new
            self._chain.digests += digests
            self._held = total
            self.place = {"address": self.elsewhere.address, **reply["place"]}
            return reply["answer"]

    def _continue_at(self, held: int, digest: str, refused: int) -> int:
        """Return after how many records to continue, where the place holds others than was thought."""
        if not 0 <= held <= len(self._chain) or self._chain.digests[held] != digest:
            self._name = uuid.uuid4().hex  # that of somebody else
            return 0
        return held if refused == 1 else 0  # two places may answer in turn: all that one may lack goes to both

    def _post(self, path: str, message: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        """Return status and message of one exchange."""
        response = self._http.post(path, content=pack({"version": VERSION, **message}))
        if response.headers.get("content-type") != MEDIA_TYPE:
            if response.status_code in (200, 404):
                raise PlaceError(f"{self.elsewhere.address} is no place of curio think; check the address")
            return response.status_code, {}
        try:
            reply = unpack(response.content)
        except WireError as error:
            raise PlaceError(f"{self.elsewhere.address}: {error}") from error
        return response.status_code, reply if isinstance(reply, dict) else {}

    def _error(self, status: int, reply: Mapping[str, Any]) -> Exception:
        """Return what to raise for a refusal."""
        kind, message = str(reply.get("error", "")), str(reply.get("message", f"HTTP status {status}"))
        if status == 422:
            if kind in _ERRORS:
                return _ERRORS[kind](message)
            return RuntimeError(f"the agent at {self.elsewhere.address} failed: {kind}: {message}")
        return PlaceError(f"{self.elsewhere.address} refuses: {message}")


def connect(elsewhere: Elsewhere, key: str | None = None) -> Callable[[Config], RemoteAgent]:
    """Return what makes agents that think elsewhere, of their configs.

    Parameters
    ----------
    elsewhere : Elsewhere
        Where.
    key : str, optional
        What the place asks for.
    """
    return lambda config: RemoteAgent(config, elsewhere, key)


def _client(address: str, key: str | None) -> httpx.Client:
    headers = {"content-type": MEDIA_TYPE} | ({} if not key else {"authorization": f"Apikey {key}"})
    verify = ssl.create_default_context() if address.startswith("https:") else False
    return httpx.Client(base_url=address, headers=headers, timeout=TIMEOUT, verify=verify)


def _say(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__
