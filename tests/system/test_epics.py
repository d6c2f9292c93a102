"""The AFM over real Channel Access: the IOC in a process of its own, on loopback."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
import traceback
from contextlib import suppress

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import FailedStatus
from caproto import CAStatus, ChannelType
from caproto.threading.client import Context
from ioc import Ioc, loopback
from support import microscope, until

from agents.registry import build, configure
from curio_plans.documents.history import History
from curio_plans.documents.streams import Steered
from curio_plans.page.view import RunView
from curio_plans.plans import curiosity
from curio_plans.store.storage import Storage
from curio_plans.study.replay import verify
from ophyd_devices import AfmBackend
from ophyd_devices.backend import BackendError, Info, Interrupted
from ophyd_devices.epics import EpicsBackend
from ophyd_devices.epics.wire import Outcome, Watchdog, decode_info, encode_info
from ophyd_devices.twin import recorded, twin


@pytest.fixture(scope="module", autouse=True)
def network():
    """Channel Access on loopback only; each IOC has a port of its own."""
    with loopback():
        yield


@pytest.fixture(scope="module")
def quick():
    """An IOC that serves the twin of the fixture `afm`, in simulated time."""
    ioc = Ioc("quick:", "seed=3")
    yield ioc
    ioc.kill()


@pytest.fixture(scope="module")
def slow():
    """An IOC that serves a twin in real time."""
    ioc = Ioc("slow:", "seed=3", "real_time=true")
    yield ioc
    ioc.kill()


@pytest.fixture
def launch():
    """Start an IOC for this test only."""
    started = []

    def launch(*arguments, **more):
        started.append(Ioc(*arguments, **more))
        return started[-1]

    yield launch
    for ioc in started:
        ioc.kill()


@pytest.fixture
def connect():
    clients = []

    def connect(ioc):
        clients.append(EpicsBackend(ioc.prefix, timeout=2.0))
        return clients[-1]

    yield connect
    for client in clients:
        with suppress(BackendError):
            client.close()


def reconnected(client):
    def connected():
        client._context.broadcaster.search_now()
        return all(pv.connected for pv in client._pvs.values())

    until(connected)


def ignore(done, total):
    pass


def same(one, other):
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def test_every_value_arrives_bit_by_bit(connect, launch):
    near, far = twin(seed=3), connect(launch("bits:", "seed=3"))
    assert isinstance(far, AfmBackend)
    assert encode_info(far.info) == encode_info(near.info)
    assert far.describe() == {**near.describe(), "epics_prefix": "bits:"}
    bias, places = np.linspace(-7, 7.1, 50), np.random.default_rng(0).uniform(0, 2000, (300, 2))
    for backend in (near, far):
        backend.move(0.1 + 0.2, 1e3 / 3, 2e3, 0.01)
        backend.engage(20.1)
    assert far.position() == near.position() == (0.1 + 0.2, 1e3 / 3)
    assert far.force() == near.force() == 20.1
    assert far.in_contact() is near.in_contact() is True
    area = (0.0, 100.1, 20.0, 70.2)
    assert same(far.frame(area, (12, 17), 3.0, ignore), near.frame(area, (12, 17), 3.0, ignore))
    here, there = near.spectrum(bias, 1e-3), far.spectrum(bias, 1e-3)
    assert same(here.spectrum, there.spectrum)
    assert same(here.others, there.others)
    assert here.resonance == there.resonance
    assert same(near.reference(places, bias), far.reference(places, bias))


def test_a_run_over_channel_access_is_watched_and_steered(connect, quick, data):
    afm, engine, seen = microscope(connect(quick)), RunEngine({}), []
    acts = {"pick": {"x": 1500, "y": 1500}, "exclude": {"area": [[0, 0], [900, 0], [900, 900], [0, 900]]}, "image": {}}

    def ask(_, start):
        for act, values in acts.items():
            storage.mailbox(start["uid"]).ask({"act": act, "values": values, "by": "ann"})

    def look(_, event):
        if event["data"].get("candidate") is not None:
            view = RunView(data, history.start["uid"])
            view.update()
            seen.append((view.state()[0], len(view.rows["points"])))

    history = History()
    with Storage.local(data) as storage:
        storage.attach(engine)
        engine.subscribe(lambda name, doc: history(name, doc) and None)
        engine.subscribe(ask, "start")
        engine.subscribe(look, "event")
        engine(curiosity(afm, configure("random", seed=1), 6, build=build, steer=storage.mailbox))
        documents = storage.documents("latest")
    afm.close()
    assert seen == [("running", number) for number in range(1, 7)]
    assert [act.act for act in history.of(Steered)] == list(acts)
    assert history.decisions[0].phase == "human"
    assert len(history.images) == 2
    assert not any(x < 900 and y < 900 for x, y in (made.position for made in history.decisions))
    assert verify(documents, build).identical


def test_what_is_fixed_survives_as_text(tmp_path):
    axis = np.linspace(1600, 1700, 7) / 3
    np.savez(tmp_path / "sample.npz", image=np.eye(5), spectra=np.arange(175).reshape(5, 5, 7), axis=axis)
    info = recorded(tmp_path / "sample.npz").info
    again = decode_info(encode_info(info))
    assert same(again.spectroscopy.axis, info.spectroscopy.axis)
    assert again.spectroscopy.others == ()
    assert [getattr(again, field.name) for field in dataclasses.fields(Info) if field.name != "spectroscopy"] == [
        getattr(info, field.name) for field in dataclasses.fields(Info) if field.name != "spectroscopy"
    ]


def test_places_survive_as_text(tmp_path):
    places = np.array([[1.0, 2.0], [3.3, 4.1], [0.1, 0.7]]) / 3
    np.savez(tmp_path / "sample.npz", image=np.eye(5), spectra=np.eye(3, 7), positions_nm=places)
    info = recorded(tmp_path / "sample.npz").info
    assert same(decode_info(encode_info(info)).places, places)


UNLIKE = {
    "uid",
    "time",
    "timestamps",
    "run_start",
    "descriptor",
    "scan_id",
    "agent_last_observation",
    "agent_think_time",
}
"""What differs between two runs of the same twin."""


def alike(value):
    if isinstance(value, dict):
        return {
            key: alike(entry)
            for key, entry in value.items()
            if key not in UNLIKE | {"epics_prefix", "curio_provenance"}
        }
    if isinstance(value, list | tuple):
        return [alike(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    return "nan" if isinstance(value, float) and np.isnan(value) else value


def explore(afm, wanderer, *, engine=None, points=6):
    """Run the full plan; return its documents and the error, if it failed."""
    documents, error = [], None
    engine = engine or RunEngine({})
    token = engine.subscribe(lambda *document: documents.append(document))
    try:
        engine(curiosity(afm, {}, points, build=wanderer, map_every=2))
    except (FailedStatus, BackendError) as caught:
        error = caught
    engine.unsubscribe(token)
    return documents, error


def test_a_run_over_channel_access_has_the_documents_of_the_twin(launch, wanderer):
    launch("fresh:", "seed=3")  # the noise depends on what was measured before
    near, far = microscope(twin(seed=3)), microscope(EpicsBackend("fresh:"))
    try:
        expected, got = explore(near, wanderer)[0], explore(far, wanderer)[0]
    finally:
        near.close()
        far.close()
    assert expected[-1][1]["exit_status"] == "success"
    assert [name for name, _ in expected] == [name for name, _ in got]
    for (name, one), (_, other) in zip(expected, got, strict=True):
        assert alike(one) == alike(other), name


def test_refusals_arrive_word_by_word_and_nothing_moves(connect, quick):
    near, far = twin(seed=3), connect(quick)
    place = far.position()
    far.withdraw()
    for refused in (
        lambda afm: afm.move(1e9, 0, 1e3, 0),
        lambda afm: afm.engage(5e3),
        lambda afm: afm.spectrum(np.zeros(4), 1e-3),
        lambda afm: afm.reference(np.array([[0.0, 1e9]]), np.zeros(4)),
    ):
        with pytest.raises(BackendError) as here:
            refused(near)
        with pytest.raises(BackendError) as there:
            refused(far)
        assert str(here.value) == str(there.value)
    with pytest.raises(BackendError, match="Spectrum takes 65538 numbers, got 70002; choose fewer steps"):
        far.spectrum(np.zeros(70_000), 1e-3)
    with pytest.raises(BackendError, match="whole numbers of pixels"):
        far.frame((0, 1, 0, 1), (4.5, 4), 1.0, ignore)
    assert far.position() == place
    assert not far.in_contact()


def test_the_raster_is_followed_and_other_clients_are_answered_while_it_runs(connect, slow):
    client, other = connect(slow), connect(slow)
    client.engage(20)
    lines, seen = [], []

    def follow(done, total):
        lines.append(done)
        if len(lines) == 2:
            assert total == 40
            seen.extend((other.position(), other.in_contact()))
            with pytest.raises(BackendError, match="the instrument is busy with Frame; wait until Busy is 0"):
                other.move(0, 0, 1e3, 0)
            # A stop from elsewhere than the thread that waits for the frame.
            threading.Thread(target=client.stop).start()

    with pytest.raises(Interrupted, match="the frame was stopped"):
        client.frame((0, 2000, 0, 2000), (40, 8), 20.0, follow)
    assert seen == [client.position(), True]
    assert lines == sorted(lines)
    assert lines[-1] < 40
    client.stop()  # nothing runs: harmless
    assert client.frame((0, 2000, 0, 2000), (8, 8), 100.0, ignore).shape == (4, 8, 8)


def test_the_instrument_goes_on_when_a_client_without_a_promise_vanishes(connect, slow, pvs):
    observer = connect(slow)
    observer.engage(20)
    busy, lines = pvs(slow, "Busy", "Frame:Lines")

    def vanish():
        leaving = connect(slow)
        with pytest.raises(BackendError, match="was lost during Frame"):
            leaving.frame((0, 100, 0, 100), (10, 4), 10.0, lambda *_: leaving._context.disconnect(wait=False))

    thread = threading.Thread(target=vanish)
    thread.start()
    until(lambda: busy.read().data[0] == 1)
    thread.join()
    until(lambda: busy.read().data[0] == 0)
    assert list(lines.read().data[1:]) == [10, 10]
    assert observer.in_contact()


def test_an_ioc_killed_in_the_middle_ends_the_run_and_its_successor_serves_the_next(launch, wanderer):
    ioc = launch("mortal:", "seed=3")
    client = EpicsBackend("mortal:", timeout=2.0)
    afm = microscope(client)
    engine = RunEngine({})

    def kill(name, doc):
        if name == "event" and doc["seq_num"] == 3 and "candidate" in doc["data"]:
            ioc.kill()

    token = engine.subscribe(kill)
    try:
        documents, error = explore(afm, wanderer, engine=engine, points=20)
        assert "the tip's state is not known" in "".join(traceback.format_exception(error))
        name, stop = documents[-1]
        assert name == "stop"
        assert stop["exit_status"] == "fail"
        assert len(History(documents).observations) == 3
        assert engine.state == "idle"

        ioc.start()
        reconnected(client)
        engine.unsubscribe(token)
        documents, error = explore(afm, wanderer, engine=engine)
        assert error is None
        assert documents[-1][1]["exit_status"] == "success"
        assert len(History(documents).observations) == 6
        assert afm.tip.position == "withdrawn"
    finally:
        afm.close()


def test_a_server_lost_during_a_frame_and_one_started_again_are_told(launch, connect):
    ioc = launch("lost:", "seed=3", "real_time=true")
    client = connect(ioc)
    client.engage(20)
    client.keep_alive(30)

    def kill(done, total):
        if ioc.process.poll() is None:
            ioc.kill()

    with pytest.raises(
        BackendError, match=r"lost during Frame; the tip's state is not known \(where the IOC still runs"
    ):
        client.frame((0, 2000, 0, 2000), (400, 8), 1.0, kill)
    with pytest.raises(BackendError, match=r"no answer from 26 of 26 PVs \(lost:Info …\)"):
        client.in_contact()
    ioc.start()
    reconnected(client)
    client.move(0, 0, 1e6, 0)  # the loss was told already
    ioc.kill()
    ioc.start()
    reconnected(client)
    with pytest.raises(BackendError, match=r"started again in between: the tip is withdrawn at \(1000, 1000\) nm"):
        client.move(10, 10, 1e6, 0)
    client.move(10, 10, 1e6, 0)
    client.close()
    ioc.process.send_signal(signal.SIGTERM)
    assert ioc.process.wait(30) == 0


SICK = """
from ophyd_devices.backend import BackendError
from ophyd_devices.twin import TwinBackend, twin

class Sick(TwinBackend):
    lifts = 0

    def force(self):
        raise BackendError("the load cell is unplugged")

    def withdraw(self):
        if self.in_contact():
            self.lifts += 1
            if self.lifts < 3:
                raise BackendError("the lift is stuck")
        super().withdraw()

def make():
    healthy = twin()
    return Sick(healthy.sample, healthy.clock)
"""


def test_a_value_that_the_instrument_cannot_give_is_never_an_old_one_and_the_watchdog_insists(
    launch, connect, tmp_path, monkeypatch
):
    (tmp_path / "sick_scope.py").write_text(SICK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    client = connect(launch("sick:", backend="sick_scope:make"))
    with pytest.raises(BackendError, match="the IOC has no valid sick:Force: the load cell is unplugged"):
        client.force()
    assert client.position() == (1000, 1000)
    client.engage(20)
    with pytest.raises(BackendError, match="the lift is stuck"):
        client.withdraw()
    assert client.in_contact()
    client.keep_alive(0.1)
    until(lambda: not client.in_contact())


@pytest.fixture
def pvs():
    """The PVs of an IOC by name, as any client of Channel Access sees them."""
    contexts = []

    def find(ioc, *names):
        contexts.append(Context())
        found = contexts[-1].get_pvs(*(ioc.prefix + name for name in names))
        for pv in found:
            pv.wait_for_connection(timeout=10)
        return found

    yield find
    for context in contexts:
        context.disconnect()


def text(pv):
    return bytes(pv.read().data).rstrip(b"\0").decode()


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("Move", [np.nan, 10, 10, 1e6, 0], "takes a token first, a positive finite number, got nan; nothing was done"),
        ("Move", [np.inf, 10, 10, 1e6, 0], "got inf"),
        ("Move", [-1, 10, 10, 1e6, 0], "got -1"),
        ("Move", [0, 10, 10, 1e6, 0], "got 0"),
        ("Move", [], "got nothing"),
        ("Move", range(20), "too large"),
        ("Move", "here", "cannot be converted"),
        ("Frame", [np.nan, 0, 10, 0, 10, 4, 4, 1], "got nan"),
        ("Frame", [], "got nothing"),
        ("Position", [10, 10], "cannot write"),
        ("Watchdog", [1], "cannot write"),
        ("Stop", [np.nan], "expected the token of an action, or 0 for whatever runs, got nan"),
        ("Stop", [-1], "got -1"),
        ("Stop", "all", "cannot be converted"),
        ("KeepAlive", [7, np.nan], "0.05 … 3600 s, or 0 to end its promise, got 7, nan; its promise is as before"),
        ("KeepAlive", [7, np.inf], "got 7, inf"),
        ("KeepAlive", [7, -1], "got 7, -1"),
        ("KeepAlive", [7, 1e-300], "got 7, 1e-300"),
        ("KeepAlive", [7, 1e9], r"got 7, 1e\+09"),
        ("KeepAlive", [np.nan, 1], "got nan, 1"),
        ("KeepAlive", [0, 1], "got 0, 1"),
        ("KeepAlive", [10], "got 10"),
        ("KeepAlive", [], "got nothing"),
        ("KeepAlive", "soon", "cannot be converted"),
    ],
)
def test_each_put_that_is_refused_is_answered_as_failed_and_changes_nothing(quick, pvs, name, value, why):
    pv, message, done, watchdog, position = pvs(quick, name, "Message", "Done", "Watchdog", "Position")
    before = [entry.read().data.tolist() for entry in (done, watchdog, position)]
    kind = {"data_type": ChannelType.STRING} if isinstance(value, str) else {}
    response = pv.write([value] if isinstance(value, str) else list(value), wait=True, timeout=60, **kind)
    assert response.status is CAStatus.ECA_PUTFAIL.value
    assert re.search(f"{quick.prefix}{name} refused a put: .*{why}", text(message))
    assert [entry.read().data.tolist() for entry in (done, watchdog, position)] == before
    assert all(entry.read(data_type="status").metadata.severity == 0 for entry in (done, watchdog))


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        (
            "Move",
            [10, np.nan, 1e6, 0],
            "Move takes finite numbers, got nan as number 2 after the token; nothing was done",
        ),
        ("Move", [10, 10], "Move takes a token and 4 numbers, got 2; nothing was done"),
        ("Engage", [np.inf], "got inf as number 1"),
        ("Spectrum", [1e-3, 0, np.nan], "got nan as number 3"),
        (
            "Reference",
            [],
            "Reference takes a channel, K, K steps of the bias, then x and y of each place; got K = 0 and 0 numbers",
        ),
        ("Reference", [0, 1e9, 0], r"got K = 1e\+09 and 1 numbers after it"),
        ("Reference", [0, 1.5, 0, 10, 10], "got K = 1.5"),
        ("Reference", [0, 1, 0, 10], "got K = 1 and 2 numbers after it"),
        ("Reference", [2, 1, 0, 10, 10], "expected a channel 0 … 1 of the spectra, got 2"),
    ],
)
def test_an_action_with_unsound_numbers_is_refused_under_its_token(quick, pvs, name, arguments, why):
    pv, message, done, outcome, position = pvs(quick, name, "Message", "Done", "Outcome", "Position")
    before = position.read().data.tolist()
    token = 1e6 + np.random.default_rng().integers(10**6)
    pv.write([token, *arguments], wait=True, timeout=60)
    assert done.read().data[0] == token
    assert outcome.read().data[0] == Outcome.REFUSED
    assert re.search(why, text(message))
    assert position.read().data.tolist() == before


def test_a_promise_that_is_refused_is_told_and_not_made(connect, quick):
    client = connect(quick)
    for seconds in (np.nan, -1.0, 1e-300, 1e9):
        with pytest.raises(BackendError, match=r"refused the promise of a sign of life: .*KeepAlive takes"):
            client.keep_alive(seconds)
    client.keep_alive(60)
    client.keep_alive(0)


def test_nobody_ends_the_promise_of_another(connect, quick, pvs):
    client, stranger = connect(quick), connect(quick)
    watchdog, keep_alive = pvs(quick, "Watchdog", "KeepAlive")
    client.engage(20)
    client.keep_alive(1.0)
    stranger.keep_alive(0)
    stranger.keep_alive(60)
    stranger.keep_alive(0)
    keep_alive.write([5, 0], wait=True, timeout=60)
    assert watchdog.read().data[0] == Watchdog.WATCHING
    until(lambda: watchdog.read().data[0] == Watchdog.WITHDREW)
    assert not client.in_contact()


def test_one_broken_promise_of_two_withdraws(connect, quick, pvs):
    client, stranger = connect(quick), connect(quick)
    (watchdog,) = pvs(quick, "Watchdog")
    client.engage(20)
    client.keep_alive(60)
    stranger.keep_alive(0.2)
    until(lambda: watchdog.read().data[0] == Watchdog.WITHDREW)
    assert not client.in_contact()
    client.keep_alive(0)
    assert watchdog.read().data[0] == Watchdog.OFF


def test_nothing_answers(network):
    with pytest.raises(BackendError, match=r"no answer from 26 of 26 PVs \(nowhere:Info …\).*EPICS_CA_ADDR_LIST"):
        EpicsBackend("nowhere:", timeout=0.2)


CLIENT = """
import sys
from bluesky import RunEngine
from curio_plans.plans import image
from ophyd_devices import AFM, link
from ophyd_devices.epics import EpicsBackend
link.PROMISE_S = 1.0
afm = AFM(EpicsBackend("slow:"), name="afm")
afm.imager.line_rate.put(4.0)
RunEngine({})(image(afm))
"""


def test_a_client_that_is_killed_mid_run_leaves_the_tip_withdrawn(connect, slow, pvs):
    observer = connect(slow)
    watchdog, lines, message = pvs(slow, "Watchdog", "Frame:Lines", "Message")
    process = subprocess.Popen([sys.executable, "-c", CLIENT], env=dict(os.environ))
    until(lambda: observer.in_contact() and list(lines.read().data[1:2]) >= [8])
    assert watchdog.read().data[0] == Watchdog.WATCHING  # two seconds later the promise of one second is still kept
    process.kill()
    process.wait()
    until(lambda: watchdog.read().data[0] == Watchdog.WITHDREW)
    assert not observer.in_contact()
    assert "no sign of life for 1 s" in text(message)
    observer.engage(20)  # whoever comes next may go on
    assert observer.in_contact()
