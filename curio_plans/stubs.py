"""The steps of a run. Stubs never open one; plans are made of them."""

from collections.abc import Iterable
from typing import Any

from bluesky import plan_stubs as bps
from bluesky.utils import MsgGenerator

from curio_plans.documents import IMAGE, POINT
from curio_plans.microscope import Microscope
from curio_plans.thinker import Thinker


def take_image(afm: Microscope) -> MsgGenerator[Any]:
    """Engage and take one frame: an event of the ``image`` stream. Returns the reading."""
    yield from bps.mv(afm.tip, "engaged")
    return (yield from bps.trigger_and_read([afm.imager], name=IMAGE))


def take_spectrum(afm: Microscope, position: tuple[float, float], also: Iterable[Any] = ()) -> MsgGenerator[Any]:
    """Move to `position` (x, y) in nm, engage and take one spectrum: an event of the ``primary`` stream.

    `also` is read with it. Returns the reading.
    """
    yield from bps.mv(afm.scanner, position)
    yield from bps.mv(afm.tip, "engaged")
    return (yield from bps.trigger_and_read([afm.spectrometer, afm.scanner, afm.tip, *also], name=POINT))


def decide(thinker: Thinker, number: int) -> MsgGenerator[Any]:
    """Wait for the agent's decision `number`: an event of the ``agent`` stream. Returns the reading."""
    yield from bps.abs_set(thinker, number, wait=True)
    yield from bps.create(name=thinker.name)
    reading = yield from bps.read(thinker)
    yield from bps.save()
    return reading


def look_ahead(thinker: Thinker, number: int) -> MsgGenerator[None]:
    """Let the agent start to think about decision `number` while the plan goes on."""
    yield from bps.abs_set(thinker, number, group="look ahead")


def record_maps(thinker: Thinker, *, latest: bool = False) -> MsgGenerator[None]:
    """Record what the agent believes over the pool, if it believes anything: an event of the ``agent_map`` stream.

    `latest` lets the agent first learn from what was measured since its last decision.
    """
    if latest:
        yield from bps.trigger(thinker.maps, wait=True)
    if thinker.history.pool is not None and thinker.maps.ready:
        yield from bps.create(name=thinker.maps.name)
        yield from bps.read(thinker.maps)
        yield from bps.save()


def withdraw(afm: Microscope) -> MsgGenerator[None]:
    """Lift the tip off the surface and wait until it is."""
    yield from bps.mv(afm.tip, "withdrawn")
