"""Prior runs: stored runs from which an agent learns before it decides. A digest tells whether they are unchanged."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.protocols import Agent, Past
from curio_plans.documents.events import DocumentError, Documents, Stored
from curio_plans.documents.history import History
from curio_plans.documents.start import is_of_agent


class PriorRunError(DocumentError):
    """A prior run is missing, was changed, or is one from which the agent cannot learn."""


def learns_from_prior_runs(agent: Agent) -> bool:
    """Tell whether an agent accepts prior runs: it then has the attribute ``learns_from_past``, which is true."""
    return bool(getattr(agent, "learns_from_past", False))


def read_prior_runs(
    uids: Sequence[str],
    stored: Stored | None,
    *,
    channels: Sequence[str],
    window: int,
    quantity: str,
    axis: NDArray[np.float64],
) -> tuple[Past, ...]:
    """Read the prior runs of a new run.

    Parameters
    ----------
    uids : sequence of str
        The runs, in the order in which the agent learns from them. A run that resumes another counts as one with it.
    stored : callable or None
        Gives the documents of each.
    channels, window, quantity, axis
        Of the new run: the channels and the side in px of its patches, the quantity of its spectra and their axis (K,).

    Raises
    ------
    PriorRunError
        If a run is missing, has not ended, or has no spectrum of an agent; if its channels, window, quantity or axis
        differ; or if two of them have a part in common.
    """
    if isinstance(uids, str):
        raise PriorRunError(f"expected a list of runs to learn from, got {uids!r}; give learn_from=[{uids!r}]")
    found: list[Past] = []
    parts: dict[str, str] = {}
    for uid in uids:
        documents = _documents_of(uid, stored)
        history = History(documents)
        past = read_prior_run(history)
        if history.stop is None:
            raise PriorRunError(
                f"run {past.uid} has not ended; learn from it when it has, or let curio recover close it"
            )
        starts = [doc for name, doc in documents if name == "start"]
        _check_alike(starts[-1], history, list(channels), window, quantity, axis)
        for start in starts:
            if start["uid"] in parts:
                raise PriorRunError(
                    f"run {start['uid']} would be learned from twice, by {parts[start['uid']]} and by {past.uid}; "
                    "leave one of them out"
                )
            parts[start["uid"]] = past.uid
        found.append(past)
    return tuple(found)


def prior_runs_of(documents: Documents, stored: Stored | None) -> tuple[Past, ...]:
    """Return the prior runs of a stored run, without those that are missing.

    Give them to a :class:`~curio_plans.documents.history.History` together with the documents. Rebuilding the agent
    needs all of them, see :func:`check_prior_runs`; drawing or exporting the run does not.
    """
    starts = [doc for name, doc in documents if name == "start"]
    if stored is None or not starts or not is_of_agent(starts[-1]):
        return ()
    found: list[Documents] = []
    for told in starts[-1].get("learned_from", []):
        with suppress(LookupError):
            found.append(stored(told["uid"]))
    return tuple(read_prior_run(History(each)) for each in found)


def read_prior_run(history: History) -> Past:
    """Return what an agent learns from a run: its candidates and every good spectrum.

    Raises
    ------
    PriorRunError
        If no agent decided in it, or nothing was measured.
    """
    start = history.start
    if start is None:
        raise PriorRunError("expected the documents of a run to learn from, got none")
    if history.pool is None or not history.observations:
        raise PriorRunError(
            f"run {start['uid']} of the plan {start.get('plan_name')!r} cannot be learned from: expected a run of the "
            "plan 'curiosity' with an image and at least one good spectrum, got "
            f"{len(history.images)} image(s) and {len(history.observations)} spectra that an agent asked for; "
            "choose another run"
        )
    return Past(str(start["uid"]), history.pool, tuple(history.observations))


def describe_prior_runs(past: Sequence[Past]) -> list[dict[str, Any]]:
    """Return what the start document keeps of each prior run, under ``learned_from``."""
    return [{"uid": one.uid, "observations": len(one.observations), "digest": digest(one)} for one in past]


def digest(past: Past) -> str:
    """Return the hexadecimal SHA-256 of dtype, shape and bytes of all numbers that an agent gets of a prior run."""
    total = hashlib.sha256()
    for numbers in _numbers(past):
        array = np.ascontiguousarray(numbers)
        total.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    return total.hexdigest()


def check_prior_runs(start: Mapping[str, Any], past: Sequence[Past]) -> None:
    """Compare prior runs as they are now with what the start document of the run that used them says.

    Raises
    ------
    PriorRunError
        If one is missing or changed, or they are in another order.
    """
    told, here = start.get("learned_from", []), {one["uid"]: one for one in describe_prior_runs(past)}
    for then in told:
        now = here.get(then["uid"])
        if now is None:
            raise PriorRunError(
                f"the agent of run {start['uid']} learned from run {then['uid']}, whose documents are missing here: "
                "bring them back, from a copy with curio replay UID --into DIRECTORY, or pass a stored= that has them"
            )
        if now != then:
            raise PriorRunError(
                f"the agent of run {start['uid']} learned from run {then['uid']}, which has changed since: it had "
                f"{then['observations']} spectra with the digest {then['digest'][:12]}…, and has {now['observations']} "
                f"with {now['digest'][:12]}… now; bring back its documents as they were"
            )
    if [one["uid"] for one in told] != [one.uid for one in past]:
        raise PriorRunError(
            f"the agent of run {start['uid']} learned from {[one['uid'] for one in told]}, in this order, got "
            f"{[one.uid for one in past]}; give these runs in that order"
        )


def _documents_of(uid: str, stored: Stored | None) -> Documents:
    if stored is None:
        raise PriorRunError("learning from prior runs needs their documents: pass stored=storage.resumable")
    try:
        return stored(uid)
    except LookupError as error:
        raise PriorRunError(
            f"run {uid} cannot be learned from: {error}; give one that curio runs lists, or bring that one back"
        ) from error


def _check_alike(
    start: Mapping[str, Any],
    history: History,
    channels: list[str],
    window: int,
    quantity: str,
    axis: NDArray[np.float64],
) -> None:
    first = history.observations[0]
    pairs = [
        ("channels", channels, list(start["pool"]["channels"])),
        ("a window in px of", window, start["pool"]["window"]),
        ("spectra of", quantity, history.spectroscopy.quantity),
        ("spectral steps", len(axis), len(first.spectrum)),
    ]
    if first.axis is not None and first.axis.shape == axis.shape and not np.allclose(first.axis, axis):
        step = int(np.argmin(np.isclose(first.axis, axis)))
        pairs.append((f"at spectral step {step}", float(axis[step]), float(first.axis[step])))
    differences = "; ".join(f"expected {what} {new}, got {old}" for what, new, old in pairs if new != old)
    if differences:
        raise PriorRunError(
            f"run {start['uid']} does not match the new run, so nothing can be learned from it: {differences}; "
            "use the settings of that run, or leave it out"
        )


def _numbers(past: Past) -> Iterator[ArrayLike]:
    yield from (past.pool.positions, past.pool.patches, past.pool.grid or ())
    for one in past.observations:
        yield from (one.index, one.requested, one.position, one.spectrum, one.time)
        if one.axis is not None:
            yield one.axis
