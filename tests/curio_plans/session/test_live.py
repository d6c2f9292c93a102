"""What a terminal shows of a run."""

import io
import time

import pytest
from bluesky import plan_stubs as bps
from rich.console import Console

from curio_plans.plans import curiosity
from curio_plans.session.live import LiveView
from ophyd_devices import AFM
from ophyd_devices.twin import twin


class Slow:
    """A backend whose actions take long enough to be waited for."""

    def __init__(self, backend, **seconds):
        self._backend, self._seconds = backend, seconds

    def __getattr__(self, name):
        time.sleep(self._seconds.get(name, 0))
        return getattr(self._backend, name)


@pytest.fixture
def afm():
    actions = ("move", "engage", "withdraw", "spectrum", "reference")
    microscope = AFM(Slow(twin(seed=3), frame=0.3, **dict.fromkeys(actions, 0.02)), name="afm")
    microscope.imager.pixels.put((64, 64))
    yield microscope
    microscope.close()


@pytest.fixture
def thinker(wanderer):
    class Thinker(wanderer):
        def suggest(self, n=1, context=None):
            time.sleep(0.05)
            return super().suggest(n, context)

        def report(self, context=None):
            time.sleep(0.05)
            return super().report(context)

    return Thinker


def watch(engine, view):
    """Connect a view; return what it says at each wait of the engine."""
    told = []

    def waiting(statuses):
        view.waiting(statuses)
        if statuses is not None and told[-1:] != [view.waiting_for]:
            told.append(view.waiting_for)

    engine.subscribe(view)
    engine.msg_hook, engine.waiting_hook = view.message, waiting
    return told


def test_it_says_what_is_waited_for(engine, afm, thinker):
    view = LiveView(Console(file=io.StringIO()))
    told = watch(engine, view)
    engine(curiosity(afm, {}, 4, build=thinker, stride=8, map_every=0, drift={"every_points": 2}))
    point = ["moving", "measuring"]
    assert [each for each in told if each != "approaching"] == [
        *("imaging", "reading the true spectra"),
        *("thinking", *point, "thinking", *point),
        *("thinking", "imaging", "comparing images", *point, "thinking", *point),
        *("updating the maps", "withdrawing"),
    ]
    assert told[0] == "approaching"


def test_thinking_ahead_is_not_what_a_measurement_is_waited_for(engine, afm, thinker):
    view = LiveView(Console(file=io.StringIO()))
    told = watch(engine, view)
    engine(curiosity(afm, {}, 3, build=thinker, stride=8, lookahead=1))
    assert not [each for each in told if " and " in each]
    assert told.count("measuring") == 3


def test_a_device_of_ones_own_is_named(engine, afm):
    view = LiveView(Console(file=io.StringIO()))
    told = watch(engine, view)
    engine(bps.mv(afm.scanner, (500, 500), afm.tip, "withdrawn"))
    assert told == ["moving and withdrawing"]

    class Stage:
        name, parent = "coarse", None

        def set(self, value):
            return afm.scanner.set(value)

    engine(bps.mv(Stage(), (600, 600)))
    assert told[-1] == "waiting for coarse"


def test_a_terminal_shows_it(engine, afm, thinker):
    screen = io.StringIO()
    with LiveView(Console(file=screen, force_terminal=True, width=120)) as view:
        watch(engine, view)
        engine(curiosity(afm, {}, 1, build=thinker, stride=8))
    assert "imaging" in screen.getvalue()


def test_without_a_terminal_there_is_a_line_for_each_point_and_nothing_else(engine, afm, thinker):
    screen = io.StringIO()
    with LiveView(Console(file=screen, width=120)) as view:
        watch(engine, view)
        engine(curiosity(afm, {}, 2, build=thinker, stride=8))
    header, *points = screen.getvalue().splitlines()
    assert header.split()[0] == "point"
    assert [line.split()[0] for line in points] == ["1", "2"]
