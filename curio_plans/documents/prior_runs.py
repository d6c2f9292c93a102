"""Earlier runs that an agent learns from: read from their documents, and known again by a digest."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.protocols import Agent, Past
from curio_plans.documents.events import DocumentError, Documents, Stored
from curio_plans.documents.history import History
from curio_plans.documents.streams import POINT


class PastError(DocumentError):
    """An earlier run from which an agent cannot learn, or from which it learned and that is not here as it was."""


def learns(agent: Agent) -> bool:
    """Tell whether an agent takes earlier runs; it then says so by its attribute ``learns_from_past``."""
    return bool(getattr(agent, "learns_from_past", False))


def look_back(
    uids: Sequence[str],
    stored: Stored | None,
    *,
    channels: Sequence[str],
    window: int,
    quantity: str,
    axis: NDArray[np.float64],
) -> tuple[Past, ...]:
    """Read the runs from which a new one is to learn.

    Parameters
    ----------
    uids : sequence of str
        The runs, in the order in which the agent is to learn from them. One that resumes another counts as one with
        it.
    stored : callable or None
        Gives the documents of each.
    channels, window, quantity, axis
        Of the new run: what its patches show, their side in px, what its spectra are, and a function of what, (K,).

    Raises
    ------
    PastError
        If a run is not there, has not ended, measured nothing that an agent decided, or has other channels, another
        window, or spectra of another quantity or axis; or if two of them have a part in common.
    """
    if isinstance(uids, str):
        raise PastError(f"expected a list of runs to learn from, got {uids!r}; give learn_from=[{uids!r}]")
    found: list[Past] = []
    parts: dict[str, str] = {}
    for uid in uids:
        if stored is None:
            raise PastError("to learn from earlier runs, their documents are needed: pass stored=storage.resumable")
        try:
            documents = stored(uid)
        except LookupError as error:
            raise PastError(
                f"run {uid} cannot be learned from: {error}; give one that curio runs lists, or bring that one back"
            ) from error
        history = History(documents)
        past = read_past(history)
        if history.stop is None:
            raise PastError(f"run {past.uid} has not ended; learn from it when it has, or let curio recover close it")
        _check_alike(history, list(channels), window, quantity, axis)
        for start in (doc for name, doc in documents if name == "start"):
            if start["uid"] in parts:
                raise PastError(
                    f"run {start['uid']} would be learned from twice, by {parts[start['uid']]} and by {past.uid}; "
                    "leave one of them out"
                )
            parts[start["uid"]] = past.uid
        found.append(past)
    return tuple(found)


def recall(documents: Documents, stored: Stored | None) -> tuple[Past, ...]:
    """Read again the runs from which the agent of a stored run learned; those that are not there are left out.

    Give them to a :class:`~curio_plans.documents.history.History` with the documents. What needs the agent then asks
    :func:`check_past`; what draws or exports a run can do without them.
    """
    starts = [doc for name, doc in documents if name == "start"]
    if stored is None or not starts:
        return ()
    found: list[Documents] = []
    for told in starts[-1].get("learned_from", []):
        with suppress(LookupError):
            found.append(stored(told["uid"]))
    return tuple(read_past(History(each)) for each in found)


def read_past(history: History) -> Past:
    """Return what an agent learns from a run: its candidates, and every good spectrum.

    Raises
    ------
    PastError
        If no agent decided in it, or it measured nothing.
    """
    start = history.start
    if start is None or "agent" not in start or history.pool is None or not history.observations:
        plan = "no documents" if start is None else f"{start['uid']}, one of the plan {start.get('plan_name')!r}"
        raise PastError(
            f"expected a run of the plan 'curiosity' with an image and at least one spectrum to learn from, got {plan} "
            f"with {len(history.images)} image(s) and {len(history.observations)} spectra of an agent"
        )
    return Past(str(start["uid"]), history.pool, tuple(history.observations))


def describe(past: Sequence[Past]) -> list[dict[str, Any]]:
    """Return what the start document says of each run that was learned from: ``learned_from``."""
    return [{"uid": one.uid, "observations": len(one.observations), "digest": digest(one)} for one in past]


def digest(past: Past) -> str:
    """Return the SHA-256, in hexadecimal, of shape and bytes of all numbers that an agent gets of an earlier run."""
    total = hashlib.sha256()
    for numbers in _numbers(past):
        array = np.ascontiguousarray(numbers)
        total.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    return total.hexdigest()


def check_past(history: History) -> None:
    """Raise PastError unless a history has the runs that its agent learned from, as they were then."""
    start: Mapping[str, Any] = history.start or {}
    told, here = start.get("learned_from", []), {one["uid"]: one for one in describe(history.past)}
    for then in told:
        now = here.get(then["uid"])
        if now is None:
            raise PastError(
                f"the agent of run {start['uid']} learned from run {then['uid']}, and the documents of that are not "
                "here: bring it back, from a copy with curio replay UID --into DIRECTORY, or pass a stored= that has it"
            )
        if now != then:
            raise PastError(
                f"the agent of run {start['uid']} learned from run {then['uid']}, and that is not what it was: then "
                f"{then['observations']} spectra with the digest {then['digest'][:12]}…, now {now['observations']} "
                f"with {now['digest'][:12]}…; bring back its documents as they were"
            )
    if [one["uid"] for one in told] != [one.uid for one in history.past]:
        raise PastError(
            f"the agent of run {start.get('uid')} learned from {[one['uid'] for one in told]}, in this order, got "
            f"{[one.uid for one in history.past]}"
        )


def _check_alike(history: History, channels: list[str], window: int, quantity: str, axis: NDArray[np.float64]) -> None:
    start: Mapping[str, Any] = history.start or {}
    first = history.observations[0]
    pairs = [
        ("channels", channels, list(start["pool"]["channels"])),
        ("a window in px of", window, start["pool"]["window"]),
        ("spectra of", quantity, history.configuration[POINT].get(f"{history.microscope}_spectrometer_quantity")),
        ("spectral steps", len(axis), len(first.spectrum)),
    ]
    if first.axis is not None and first.axis.shape == axis.shape and not np.allclose(first.axis, axis):
        step = int(np.argmin(np.isclose(first.axis, axis)))
        pairs.append((f"at spectral step {step}", float(axis[step]), float(first.axis[step])))
    differences = "; ".join(f"expected {what} {new}, got {old}" for what, new, old in pairs if new != old)
    if differences:
        raise PastError(
            f"run {start['uid']} is not like the new one, so nothing can be learned from it: {differences}; set the "
            "new run like that one, or leave that out"
        )


def _numbers(past: Past) -> Iterator[ArrayLike]:
    yield from (past.pool.positions, past.pool.patches, past.pool.grid)
    for one in past.observations:
        yield from (one.index, one.requested, one.position, one.spectrum, one.time)
        if one.axis is not None:
            yield one.axis
