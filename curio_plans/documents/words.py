"""What happened in a run, in words: for a terminal, a page, a log."""

from curio_plans.documents.steering import describe_act
from curio_plans.documents.streams import (
    Answered,
    Distant,
    DriftEstimate,
    Ending,
    Entry,
    Escalated,
    Exclusions,
    Image,
    Rejected,
    RejectedImage,
    Steered,
)

_OUTCOMES = {
    "waits": "the run waits, with the tip withdrawn",
    "answers": "it goes on",
    "again": "the run goes on waiting",
    "here": "the agent thinks here from now on",
    "ends": "the run ends",
    "skipped": "what the agent believes at the end is not recorded",
}
"""What an event of the stream ``elsewhere`` means."""


def say(entry: Entry) -> str:
    """Return what an entry means for somebody who watches; empty for points, decisions and maps, which are shown."""
    match entry:
        case Rejected():
            return f"bad spectrum, attempt {entry.attempt}: {entry.reason}"
        case RejectedImage():
            return f"bad image: {entry.reason}"
        case Exclusions():
            number = int(entry.candidates.sum())
            return f"excluded {number} candidate{'s'[: number > 1]}: {entry.reason}"
        case DriftEstimate():
            x, y = entry.shift
            outcome = "corrected" if entry.accepted else "not believed, the earlier correction stays"
            return f"drift {x:+.1f}, {y:+.1f} nm since the first image, confidence {entry.confidence:.2f}: {outcome}"
        case Escalated():
            return "a closer look: the error stays high here"
        case Ending():
            return f"the run ends: {entry.reason}"
        case Answered():
            return f"asked {entry.question!r}, a human answered {entry.text!r}"
        case Steered():
            return _say_steered(entry)
        case Distant():
            return f"{entry.reason}: {_OUTCOMES.get(entry.what, entry.what)}"
        case Image():
            return "an image was taken"
    return ""


def _say_steered(entry: Steered) -> str:
    where = f" candidate {entry.candidate}" if entry.candidate >= 0 else ""
    return f"{entry.by}: {describe_act(entry.act, entry.said)}{where}"
