"""The fault matrix: each fault with each policy, as the table of docs/reference/faults.md has it.

With CURIO_REGENERATE=1 in the environment the test writes the table instead.
"""

import os
from contextlib import suppress
from pathlib import Path

from bluesky import RunEngine
from support import film, microscope

from agents.protocols import Exclusion
from curio_plans.documents.history import History
from curio_plans.plans import curiosity
from curio_plans.study.replay import verify
from ophyd_devices.backend import BackendError
from ophyd_devices.twin import FaultyBackend, SimulatedClock, TwinBackend

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "faults.md"
POINTS = 6
POLICIES = ("retry", "skip", "stop")
FAULTS = {
    "a spectrum is NaN": {"kind": "nan spectrum", "at": 3},
    "a spectrum is NaN, five times in a row": {"kind": "nan spectrum", "at": 3, "times": 5},
    "a spectrum is saturated": {"kind": "saturated spectrum", "at": 3},
    "contact is lost during a spectrum": {"kind": "lost contact", "at": 3},
    "a frame misses lines": {"kind": "missing lines", "at": 1},
    "each frame misses lines": {"kind": "missing lines", "at": 1, "times": 9},
    "the tip crashes during a spectrum": {"kind": "tip crash", "at": 3, "action": "spectrum"},
    "the tip crashes on approach": {"kind": "tip crash", "at": 1, "action": "engage"},
    "the scanner is stuck": {"kind": "stuck scanner", "at": 3},
    "a spectrum does not end": {"kind": "timeout", "at": 3},
    "a move does not end": {"kind": "timeout", "at": 3, "action": "move"},
    "the frame does not end": {"kind": "timeout", "at": 1, "action": "frame"},
    "approaching does not end": {"kind": "timeout", "at": 1, "action": "engage"},
    "the controller disconnects during a spectrum": {"kind": "disconnect", "at": 3},
    "the controller disconnects during the frame": {"kind": "disconnect", "at": 1, "action": "frame"},
}


def outcome(wanderer, fault, policy):
    """Run into a fault; return what happened and what was kept."""
    backend = FaultyBackend(TwinBackend(film(3), SimulatedClock(), 3), [fault], 3)
    afm = microscope(backend)
    afm.imager.line_rate.put(100.0)
    if fault["kind"] == "timeout":
        device = {"move": afm.scanner, "engage": afm.tip, "frame": afm.imager}.get(
            fault.get("action"), afm.spectrometer
        )
        device.timeout.put(0.5)
    engine, documents, history = RunEngine({}), [], History()
    engine.subscribe(history)
    engine.subscribe(lambda name, doc: documents.append((name, doc)))
    with suppress(Exception):  # how the run ended is looked at below
        engine(curiosity(afm, {}, POINTS, build=wanderer, quality={"policy": policy}))
    assert not backend.backend.in_contact(), "the tip is withdrawn whatever happens"
    assert history.stop is not None, "every run ends with a stop document"
    if fault["kind"] == "disconnect":
        assert "connection to the controller is lost" in history.stop["reason"], "though withdrawing fails as well"
    if history.pool is not None:
        assert verify(documents, wanderer).identical, "what was kept can be replayed"
    with suppress(BackendError):  # a controller that is gone cannot be released
        afm.close()
    excluded = sum(isinstance(record, Exclusion) for record in history.records)
    kept = [f"{len(history.observations)} points"]
    kept += [f"{len(history.rejected)} rejected"] if history.rejected else []
    kept += [f"{excluded} excluded"] if excluded else []
    kept += [] if history.images else ["no image"]
    ending = "goes on" if history.stop["exit_status"] == "success" else "ends"
    return f"{ending}: {', '.join(kept)}"


def table(rows):
    lines = ["| what goes wrong | " + " | ".join(f"`{policy}`" for policy in POLICIES) + " |"]
    lines.append("|---" * (1 + len(POLICIES)) + "|")
    lines += [f"| {words} | " + " | ".join(outcomes) + " |" for words, outcomes in rows.items()]
    return "\n".join(lines) + "\n"


def test_each_fault_with_each_policy_is_as_the_table_says(wanderer):
    rows = {words: [outcome(wanderer, fault, policy) for policy in POLICIES] for words, fault in FAULTS.items()}
    head, marker, rest = PAGE.read_text().partition("<!-- table -->\n")
    told, gap, tail = rest.partition("\n\n")
    if os.environ.get("CURIO_REGENERATE"):
        PAGE.write_text(head + marker + table(rows).rstrip("\n") + gap + tail)
    else:
        assert told + "\n" == table(rows)
