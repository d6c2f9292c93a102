"""The steps of a run. Stubs never open one; plans are made of them."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import MsgGenerator

from agents.protocols import Question
from curio_plans.documents.streams import (
    ANSWER,
    ATTEMPT,
    DECISION,
    ESCALATION,
    IMAGE,
    MAP,
    POINT,
    REJECTED,
    REJECTED_IMAGE,
    Answered,
    Decision,
)
from curio_plans.rules.quality import Quality, QualityError, judge_frame
from curio_plans.run.microscope import Microscope
from curio_plans.run.notes import LateNote, Note
from curio_plans.run.plan import plan
from curio_plans.run.thinker import Thinker, ThinkingError, Thought

T = TypeVar("T")

Place = tuple[float, float]
"""(x, y) in nm."""

Judge = Callable[[Mapping[str, Any]], str]
"""Takes the reading of the spectrometer; returns what is wrong with it, or nothing."""

Ask = Callable[[Question], MsgGenerator[str]]
"""A plan that shows a question to a human and returns the answer."""


@plan
def take_image(afm: Microscope, retries: int = 0) -> MsgGenerator[Any]:
    """Engage and take one frame: an event of the ``image`` stream. Returns the reading.

    A frame with missing pixels is recorded in the stream ``rejected_image`` and taken again, up to `retries` times.

    Raises
    ------
    QualityError
        If the last one misses pixels, too.
    """
    for _ in range(1 + retries):
        yield from bps.checkpoint()
        yield from bps.mv(afm.tip, "engaged")
        yield from measure_once(afm.imager)
        peeked = yield from bps.read(afm.imager)
        reason = judge_frame(peeked[f"{afm.imager.name}_frame"]["value"]) if peeked else ""
        if not reason:
            return (yield from record([afm.imager], IMAGE))
        note = Note(REJECTED_IMAGE, {"rejected_image_reason": reason})
        yield from record([afm.imager, note], REJECTED_IMAGE)
    raise QualityError(f"expected a whole image, got {1 + retries} of which {reason}; check contact and scanner")


@plan
def take_spectrum(
    afm: Microscope, position: Place, also: Iterable[Any] = (), *, judge: Judge | None = None
) -> MsgGenerator[str]:
    """Move to `position`, engage and take one spectrum: an event of the ``primary`` stream.

    `also` is read with it. Where `judge` finds the spectrum bad, the event goes into the stream
    ``rejected`` with the reason instead. Returns the reason; empty for a good spectrum.
    """
    devices = [afm.spectrometer, afm.scanner, afm.tip, *also]
    yield from bps.mv(afm.scanner, position)
    yield from bps.mv(afm.tip, "engaged")
    yield from measure_once(afm.spectrometer)
    peeked = yield from bps.read(afm.spectrometer)
    reason = judge(peeked) if judge is not None and peeked else ""
    if reason:
        yield from record([*devices, Note(REJECTED, {"rejected_reason": reason})], REJECTED)
    else:
        yield from record(devices, POINT)
    return reason


@plan
def take_good_spectrum(
    afm: Microscope,
    position: Place,
    also: Iterable[Any] = (),
    *,
    quality: Quality,
    measure: Callable[..., MsgGenerator[str]] = take_spectrum,
    rejected: Sequence[str] = (),
) -> MsgGenerator[str]:
    """Take a spectrum, again where it is bad and the policy says so. Returns what is wrong with the last one.

    Before another attempt the tip is withdrawn: a fresh approach mends a lost contact. ``attempt`` is read with each.
    `rejected` tells what was wrong with earlier attempts at this place, which count.

    Raises
    ------
    QualityError
        If it is bad and the policy is to stop.
    """
    reason = rejected[-1] if rejected else ""
    for attempt in range(1 + len(rejected), quality.attempts + 1):
        yield from bps.checkpoint()
        if reason:
            yield from withdraw(afm)
        reason = yield from measure(
            afm,
            position,
            [*also, Note(ATTEMPT, {ATTEMPT: attempt})],
            judge=lambda reading: quality.judge(reading, afm.spectrometer.name),
        )
        if not reason:
            return ""
    if quality.policy == "stop":
        raise QualityError(f"the spectrum at {position} nm is bad: {reason}")
    return reason


@plan
def finer_spectrum(
    afm: Microscope, position: Place, also: Iterable[Any] = (), *, steps_per_cycle: int = 128, cycles: int = 4
) -> MsgGenerator[Any]:
    """Take one spectrum with a longer, finer waveform: an event of the ``escalation`` stream. Returns the reading.

    The waveform is set back afterwards, whatever happens.
    """
    spectrometer = afm.spectrometer

    def measure() -> MsgGenerator[Any]:
        yield from bps.mv(afm.scanner, position)
        yield from bps.mv(afm.tip, "engaged")
        yield from measure_once(spectrometer)
        return (yield from record([spectrometer, afm.scanner, afm.tip, *also], ESCALATION))

    settings = {spectrometer.steps_per_cycle: steps_per_cycle, spectrometer.cycles: cycles}
    return (yield from with_settings(settings, measure()))


@plan
def with_settings(settings: Mapping[Any, Any], plan: MsgGenerator[T]) -> MsgGenerator[T]:
    """Set signals, run `plan`, and set them back, whatever happens. Returns what `plan` returns.

    Parameters
    ----------
    settings : mapping
        Values by signal.
    plan : generator
        What to do with these settings.
    """
    before = {signal: signal.get() for signal in settings}

    def run() -> MsgGenerator[T]:
        for signal, value in settings.items():
            yield from bps.mv(signal, value)
        return (yield from plan)

    def restore() -> MsgGenerator[None]:
        for signal, value in before.items():
            yield from bps.mv(signal, value)

    result: T = yield from bpp.finalize_wrapper(run(), restore)
    return result


@plan
def measure_once(device: Any) -> MsgGenerator[None]:
    """Trigger a measurement that is not made again when the RunEngine repeats this after a pause.

    See :class:`ophyd_devices.measuring.Measuring` for what the ticket does; what was interrupted is measured again.
    """
    yield from bps.mv(device.ticket, uuid.uuid4().hex)
    yield from bps.trigger(device, wait=True)


@plan
def think(
    thinker: Thinker,
    number: int,
    *,
    ask: Ask | None = None,
    timeout: float | None = None,
    records: int | None = None,
    decide: bool = True,
    late: float | None = None,
    meanwhile: Callable[[], MsgGenerator[None]] | None = None,
) -> MsgGenerator[None]:
    """Wait for the agent's decision `number`; :func:`record_decision` then makes an event of it.

    Parameters
    ----------
    thinker : Thinker
        Asks the agent.
    number : int
        0 for the first decision of the run.
    ask : callable, optional
        Gets the agent's question answered, where it asks one in place of deciding. The answer is an event of the
        ``answer`` stream, and the agent thinks again.
    timeout : float, optional
        Seconds after which thinking has failed.
    records : int, optional
        How many records the decision rests on; by default all. See :meth:`Thinker.set`.
    decide : bool
        Whether the agent decides; if not, a human has.
    late, meanwhile : float and callable, optional
        A plan for the time after so many seconds of waiting.

    Raises
    ------
    ThinkingError
        If the agent asks and there is no `ask`.
    TimeoutError
        If thinking takes longer than `timeout`.
    """
    while True:
        yield from bps.abs_set(thinker, number, records=records, decide=decide, group="decide")
        left = timeout
        if late is not None and meanwhile is not None and (timeout is None or late < timeout):
            if (yield from bps.wait("decide", timeout=late, error_on_timeout=False)) is False:
                yield from meanwhile()
                yield from bps.abs_set(thinker, number, records=records, decide=decide, group="decide")
            left = None if timeout is None else timeout - late
        yield from bps.wait("decide", timeout=left)
        question = thinker.question(number)
        if question is None:
            return
        if ask is None:
            raise ThinkingError(
                f"the agent asks {question.text!r}, and nobody is there to answer: pass ask= to the plan"
            )
        answer = yield from ask(question)
        yield from record([Note.of(Answered(question.text, answer))], ANSWER)
        yield from bps.checkpoint()


@plan
def look_ahead(thinker: Thinker, number: int, records: int | None = None) -> MsgGenerator[None]:
    """Let the agent start to think about decision `number` while the plan goes on; see :meth:`Thinker.set`."""
    yield from bps.abs_set(thinker, number, records=records, group="look ahead")


@plan
def record_decision(
    thinker: Thinker, number: int, *, escalates: bool = False, picked: int | None = None
) -> MsgGenerator[Decision | None]:
    """Record decision `number`: an event of the ``agent`` stream. Returns it; None in a simulator.

    Where a human `picked` a candidate, the decision is for that. `escalates` adds the errors that the agent expects, by
    which :class:`~curio_plans.rules.EscalationRule` decides.
    """

    def note() -> Note:
        thought, unit = thinker.thought(number), thinker.history.spectroscopy.unit
        decision = thinker.decision(number, escalates=escalates, picked=picked)
        return Note.of(decision, unit, None if thought is None else thought.timestamp)

    reading = yield from record([LateNote(DECISION, note)], DECISION)
    return thinker.decision(number, escalates=escalates, picked=picked) if reading else None


@plan
def record_belief(thinker: Thinker, number: int) -> MsgGenerator[None]:
    """Record what the agent believed at decision `number`, if anything: an event of the ``agent_map`` stream."""
    yield from _record_thought(thinker, thinker.thought(number))


@plan
def record_last_belief(thinker: Thinker) -> MsgGenerator[None]:
    """Let the agent learn from everything measured, and record what it then believes, if anything."""
    yield from bps.trigger(thinker, wait=True)
    yield from _record_thought(thinker, thinker.thought())


def _record_thought(thinker: Thinker, thought: Thought | None) -> MsgGenerator[None]:
    if thought is not None and thought.believes and thinker.history.pool is not None:
        unit = thinker.history.spectroscopy.unit
        yield from record([Note.of(thinker.belief(thought), unit, thought.timestamp)], MAP)


@plan
def record(devices: Sequence[Any], stream: str) -> MsgGenerator[Any]:
    """Read devices that were triggered before: an event of `stream`. Returns the reading."""

    def read_all() -> MsgGenerator[dict[str, Any]]:
        together: dict[str, Any] = {}
        for device in devices:
            reading = yield from bps.read(device)
            together |= reading or {}
        return together

    def drop(_: Exception) -> MsgGenerator[None]:
        yield from bps.drop()

    yield from bps.create(name=stream)
    # Half an event must not stay open, or what is recorded while the run ends finds no place.
    return (yield from bpp.contingency_wrapper(read_all(), except_plan=drop, else_plan=bps.save))


@plan
def withdraw(afm: Microscope) -> MsgGenerator[None]:
    """Lift the tip off the surface and wait until it is."""
    yield from bps.mv(afm.tip, "withdrawn")
