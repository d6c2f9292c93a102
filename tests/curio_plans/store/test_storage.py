import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.preprocessors import SupplementalData
from ophyd import Signal
from processes import PYTHON
from support import until

from curio_plans.documents.history import History
from curio_plans.plans import curiosity, image, spectra_at
from curio_plans.run import stubs
from curio_plans.store import tiled_writer
from curio_plans.store.errors import AmbiguousRun, RunNotFound, StorageError
from curio_plans.store.journal import Journal
from curio_plans.store.places import journalled
from curio_plans.store.reader import read_journal
from curio_plans.store.storage import Storage
from curio_plans.store.tiled_reader import count_points, read_configuration, read_documents, read_stream
from curio_plans.store.tiled_writer import CastError, RunWriter, cast
from ophyd_devices import AFM
from ophyd_devices.twin import twin

PLACES = [(10.0 * number, 900.0 - 5.0 * number) for number in range(100)]


@pytest.fixture(scope="module")
def kept(empty, tmp_path_factory):
    """A complete run: baseline, a frame of 4 × 256 × 256, and 100 spectra of 256 steps; with what was emitted."""
    directory = shutil.copytree(empty, tmp_path_factory.mktemp("kept") / "my data, 1 & 'ä' (%20)")
    afm = AFM(twin(seed=3), name="afm")
    afm.imager.pixels.put((256, 256))
    afm.spectrometer.steps_per_cycle.put(64)
    afm.spectrometer.cycles.put(4)
    engine = RunEngine({})
    engine.preprocessors.append(SupplementalData(baseline=afm.baseline))
    documents = []
    engine.subscribe(lambda name, doc: documents.append((name, doc)))

    @bpp.stage_decorator([afm])
    @bpp.run_decorator(md={"plan_name": "both", "agent": {"agent": "nobody"}})
    @bpp.finalize_decorator(lambda: stubs.withdraw(afm))
    def plan():
        yield from stubs.take_image(afm)
        for place in PLACES:
            yield from bps.checkpoint()
            yield from stubs.take_spectrum(afm, place)

    with Storage.local(directory) as storage:
        storage.attach(engine)
        (uid,) = engine(plan())
        assert storage.failures == {}
        yield storage, uid, documents
    afm.close()


def emitted(documents, stream):
    names = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}
    return [doc for name, doc in documents if name == "event" and names[doc["descriptor"]] == stream]


def test_spectra_and_frame_come_back_with_their_shapes_types_and_values(kept):
    storage, uid, documents = kept
    run = storage.catalog[uid]
    spectra = read_stream(run)["afm_spectrometer_spectrum"]
    assert (spectra.shape, spectra.dtype) == ((100, 256), np.dtype("<f8"))
    measured = [event["data"]["afm_spectrometer_spectrum"] for event in emitted(documents, "primary")]
    np.testing.assert_array_equal(spectra, measured)
    frame = read_stream(run, "image")["afm_imager_frame"]
    assert (frame.shape, frame.dtype) == ((1, 4, 256, 256), np.dtype("<f4"))
    np.testing.assert_array_equal(frame[0], emitted(documents, "image")[0]["data"]["afm_imager_frame"])
    assert len(set(frame.dims)) == 4, "a square image has two dimensions, not one twice"


def test_the_ordinary_way_of_reading_works_as_well(kept):
    storage, uid, _ = kept
    run = storage.catalog[uid[:8]]
    assert run["primary/afm_spectrometer_spectrum"].read().shape == (100, 256)
    assert run["image/afm_imager_frame"].read().shape == (1, 4, 256, 256)
    assert run["primary"].read()["afm_spectrometer_spectrum"].shape == (100, 256)
    assert run.start["plan_name"] == "both"
    assert run.stop["exit_status"] == "success"


@pytest.mark.parametrize("stream", ["primary", "baseline", "image"])
def test_every_value_of_every_stream_comes_back_in_its_declared_type(kept, stream):
    storage, uid, documents = kept
    found = read_stream(storage.catalog[uid], stream)
    events = emitted(documents, stream)
    declared = next(doc["data_keys"] for name, doc in documents if name == "descriptor" and doc["name"] == stream)
    assert set(found.data_vars) == set(declared)
    for key, column in found.data_vars.items():
        np.testing.assert_array_equal(column, [event["data"][key] for event in events])
        if declared[key]["dtype"] != "string":
            assert column.dtype == np.dtype(declared[key].get("dtype_numpy", column.dtype)), key
    np.testing.assert_array_equal(found["time"], [event["time"] for event in events])
    assert found["seq_num"].values.tolist() == [event["seq_num"] for event in events]


def test_configuration_and_units_come_back(kept):
    storage, uid, documents = kept
    run = storage.catalog[uid]
    descriptor = next(doc for name, doc in documents if name == "descriptor" and doc["name"] == "primary")
    expected = {key: value for device in descriptor["configuration"].values() for key, value in device["data"].items()}
    found = read_configuration(run)
    assert set(found) == set(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value)
        assert np.asarray(found[key]).dtype.kind == np.asarray(value).dtype.kind, key
    assert found["afm_spectrometer_axis"].shape == (256,)
    assert read_stream(run)["afm_scanner_x"].attrs["units"] == "nm"


def test_the_journal_gives_back_what_was_emitted(kept):
    storage, _, documents = kept
    kept_documents = storage.documents("latest")
    assert [name for name, _ in kept_documents] == [name for name, _ in documents]
    for (_, one), (_, other) in zip(kept_documents, documents, strict=True):
        np.testing.assert_equal(one, {**other})


def test_the_documents_from_tiled_tell_the_same(kept):
    storage, uid, documents = kept
    found = read_documents(storage.catalog[uid])
    assert Counter(name for name, _ in found) == Counter(name for name, _ in documents)
    assert found[0][1] == dict(documents[0][1])
    assert found[-1][0] == "stop"
    for stream in ("baseline", "image", "primary"):
        for one, other in zip(emitted(found, stream), emitted(documents, stream), strict=True):
            assert one["data"].keys() == other["data"].keys()
            for key, value in other["data"].items():
                np.testing.assert_array_equal(one["data"][key], value)
                assert np.asarray(one["data"][key]).dtype == np.asarray(value).dtype or isinstance(value, float)


def test_runs_are_listed_and_found(kept):
    storage, uid, _ = kept
    (run,) = storage.runs()
    assert (run.uid, run.plan_name, run.agent, run.points, run.exit_status) == (uid, "both", "nobody", 100, "success")
    assert abs(run.time.timestamp() - storage.catalog[uid].start["time"]) < 1e-3
    assert storage.resolve("latest") == storage.resolve(uid) == storage.resolve(uid[:6]) == uid


def test_a_stream_that_is_not_there(kept):
    storage, uid, _ = kept
    with pytest.raises(LookupError, match=r"no stream 'agent'; it has .*'primary'"):
        read_stream(storage.catalog[uid], "agent")
    assert count_points(storage.catalog[uid], "agent") == 0


def stored(directory, *uids):
    """Put runs that are nothing but a beginning into a journal."""
    journal = Journal(directory)
    for time_, uid in enumerate(uids):
        journal("start", {"uid": uid, "time": float(time_), "plan_name": "nothing"})
    journal.close()


def test_a_run_is_found_by_what_makes_it_unique(tmp_path):
    stored(tmp_path, "abcd-1", "abcd-2", "b000-3", "abcd")
    with Storage.local(tmp_path) as storage:
        assert [run.uid for run in storage.runs()] == ["abcd", "b000-3", "abcd-2", "abcd-1"]
        assert storage.runs()[0].exit_status is None
        assert storage.resolve("b") == "b000-3"
        assert storage.resolve("abcd") == "abcd", "a whole uid is meant even if others begin with it"
        assert storage.resolve("latest") == "abcd"
        with pytest.raises(AmbiguousRun, match=r"'a' may be any of abcd, abcd-2, abcd-1; give more"):
            storage.resolve("a")
        with pytest.raises(RunNotFound, match=r"no run 'x' in .*; the newest are abcd, b000-3"):
            storage.documents("x")
        with pytest.raises(RunNotFound):
            storage.resolve("")


def test_without_runs_there_is_none_to_find(tmp_path):
    with Storage.local(tmp_path / "new") as storage:
        assert storage.runs() == []
        with pytest.raises(RunNotFound, match=r"there are no runs in .*new yet"):
            storage.resolve("latest")


def test_listing_does_not_open_tiled(tmp_path):
    stored(tmp_path, "a")
    code = (
        "import sys; from curio_plans.store.storage import Storage\n"
        f"with Storage.local({str(tmp_path)!r}) as storage:\n"
        "    assert storage.resolve('latest') == 'a' and storage.documents('a') and storage.runs()\n"
        "print([name for name in ('tiled', 'bluesky', 'xarray') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert not (tmp_path / "tiled").exists()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_is_no_place_for_data(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="expected a directory"):
        Storage.local(tmp_path / place)


def test_a_name_that_tiled_cannot_handle(tmp_path):
    with pytest.raises(StorageError, match=r"with # or \? in it"):
        Storage.local(tmp_path / "run #1")
    assert not (tmp_path / "run #1").exists()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a place where not even root can write")  # noqa: PTH112
@pytest.mark.parametrize("place", ["/proc/self/data", "/proc/self"])
def test_a_directory_that_cannot_be_written(place):
    with pytest.raises(StorageError, match="cannot write to the data directory /proc/self"):
        Storage.local(place)


def test_a_stranger_among_the_runs_does_not_hide_the_others(tmp_path):
    stored(tmp_path, "a", "b")
    (tmp_path / "journal" / "b" / "documents.jsonl").write_bytes(b'["start", {"uid"')
    (tmp_path / "journal" / "notes").mkdir()
    with Storage.local(tmp_path) as storage:
        damaged, whole = storage.runs()
        assert (damaged.uid, whole.uid, whole.damaged) == ("b", "a", "")
        assert "run b has no start document: it was torn at the very beginning; curio recover b" in damaged.damaged
        assert storage.resolve("latest") == "a"


def test_a_run_with_an_agent_is_kept_whole_even_through_a_tiny_queue(data, afm, engine, wanderer):
    with Storage.local(data, capacity=1) as storage:
        storage.attach(engine)
        (uid,) = engine(curiosity(afm, {"seed": 1}, 25, build=wanderer))
        assert storage.failures == {}
        run = storage.catalog[uid]
        assert count_points(run) == 25
        assert read_stream(run, "agent")["agent_candidate"].shape == (25,)
        assert storage.runs()[0].agent == "wanderer"
        live, again = History(storage.documents(uid)), History(read_documents(run))
        assert [one.candidate for one in live.decisions] == [one.candidate for one in again.decisions]
        assert all(
            np.array_equal(one.spectrum, other.spectrum)
            for one, other in zip(live.observations, again.observations, strict=True)
        )
        np.testing.assert_array_equal(live.pool.patches, again.pool.patches)


def test_an_attached_engine_is_let_go_of_at_the_end(data, afm, engine):
    with Storage.local(data) as storage:
        storage.attach(engine)
        engine(image(afm))
    engine(image(afm))
    with Storage.local(data) as storage:
        assert len(storage.runs()) == 1


def test_the_journal_has_a_document_before_anything_else_sees_it(data, engine):
    seen = []
    with Storage.local(data) as storage:
        storage.attach(engine)
        engine.subscribe(lambda name, doc: seen.append(len(read_journal(data, journalled(data)[0]))))
        engine(bpp.run_wrapper([]))
    assert seen == [1, 2]


def measure(signals, values):
    @bpp.run_decorator()
    def plan():
        for value in values:
            yield from bps.mv(signals, value)
            yield from bps.checkpoint()
            yield from bps.trigger_and_read([signals])

    return plan()


class Declared(Signal):
    """A signal that declares what it is told to, whatever it holds."""

    def __init__(self, declared, **more):
        super().__init__(name="signal", **more)
        self.declared = declared

    def describe(self):
        return {"signal": {"source": "test", "shape": [], **self.declared}}


def test_a_value_that_its_declared_type_cannot_hold_ends_a_run_in_tiled_but_no_plan(data, engine):
    told = []
    integer = Declared({"dtype": "integer"}, value=0)
    number = Declared({"dtype": "number"}, value=0)
    with Storage.local(data, tell=told.append) as storage:
        storage.attach(engine)
        (bad,) = engine(measure(integer, [1, 2.5, 3]))
        assert "2.5" in storage.failures[bad]
        (message,) = told
        assert bad[:8] in message
        assert f"storage.repair('{bad[:8]}')" in message
        assert storage.runs()[0].exit_status == "success"
        assert storage.runs()[0].points == 3
        with pytest.raises(StorageError, match=r"does not take run .*2\.5"):
            storage.repair(bad)

        (good,) = engine(measure(number, [0, 0.5, 1]))
        assert good not in storage.failures, "the next run is tried again"
        found = read_stream(storage.catalog[good])["signal"]
        assert found.dtype == np.float64
        assert found.values.tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("value", "declared"),
    [
        (1.5, {"dtype": "integer"}),
        (2**60 + 1, {"dtype": "number"}),
        (0.1, {"dtype": "number", "dtype_numpy": "<f4"}),
        (300, {"dtype": "integer", "dtype_numpy": "|u1"}),
        (2, {"dtype": "boolean"}),
        (5, {"dtype": "string"}),
        (None, {"dtype": "number"}),
        ("5", {"dtype": "number"}),
        (np.zeros(3), {"dtype": "array", "shape": [4]}),
        (np.zeros((3, 1)), {"dtype": "array", "shape": [3]}),
        (np.array([0.1]), {"dtype": "array", "shape": [1], "dtype_numpy": "<f4"}),
        (np.array([1.5, np.nan]), {"dtype": "array", "shape": [2], "dtype_numpy": "<i8"}),
    ],
)
def test_a_cast_that_would_change_a_value_is_refused(value, declared):
    with pytest.raises(CastError, match="expected 'key' to"):
        cast("key", value, declared)


@pytest.mark.parametrize(
    ("value", "declared", "expected"),
    [
        (1, {"dtype": "number"}, 1.0),
        (np.int8(1), {"dtype": "integer"}, 1),
        (float("nan"), {"dtype": "number"}, float("nan")),
        (0.5, {"dtype": "number", "dtype_numpy": "<f4"}, np.float32(0.5)),
        (1, {"dtype": "boolean"}, True),
        (np.str_("a"), {"dtype": "string", "dtype_numpy": "<U1"}, "a"),
        ([1, 2], {"dtype": "array", "shape": [2], "dtype_numpy": "<f8"}, np.array([1.0, 2.0])),
        (np.array([np.nan, 1]), {"dtype": "array", "shape": [2], "dtype_numpy": "<f4"}, np.array([np.nan, 1], "<f4")),
    ],
)
def test_a_cast_that_keeps_the_value(value, declared, expected):
    result = cast("key", value, declared)
    np.testing.assert_array_equal(result, expected)
    assert type(result) is type(expected)
    assert np.asarray(result).dtype == np.asarray(expected).dtype


def test_an_event_repeated_after_a_pause_is_there_once(data, engine):
    number = Declared({"dtype": "number"}, value=0.0)
    paused = []

    @bpp.run_decorator()
    def plan():
        yield from bps.checkpoint()
        yield from bps.trigger_and_read([number])
        if not paused:
            paused.append(True)
            yield from bps.pause()
        yield from bps.trigger_and_read([number])

    with Storage.local(data) as storage:
        storage.attach(engine)
        with pytest.raises(Exception, match="paus"):
            engine(plan())
        (uid,) = engine.resume()
        events = [doc["seq_num"] for name, doc in storage.documents(uid) if name == "event"]
        assert events == [1, 1, 2], "the RunEngine repeats what came after the last checkpoint"
        assert count_points(storage.catalog[uid]) == storage.runs()[0].points == 2
        assert emitted(read_documents(storage.catalog[uid]), "primary")[1]["seq_num"] == 2


def test_a_run_that_ends_waits_until_it_can_be_read_and_says_so(data, afm, engine, monkeypatch):
    write = RunWriter._write_internal_data

    def slowly(self, *args, **kwargs):
        time.sleep(0.9)
        write(self, *args, **kwargs)

    monkeypatch.setattr(RunWriter, "_write_internal_data", slowly)
    monkeypatch.setattr(tiled_writer, "_QUIET", 1.0)
    engine.preprocessors.append(SupplementalData(baseline=afm.baseline))
    told = []
    with Storage.local(data, tell=told.append) as storage:
        storage.attach(engine)
        (uid,) = engine(curiosity_without_agent(afm))
        run = storage.catalog[uid]
        assert run.stop["exit_status"] == "success"
        assert [count_points(run, stream) for stream in ("baseline", "image", "primary")] == [2, 1, 3]
    assert len(told) == 1
    assert told[0].startswith("waiting for Tiled to take ")
    assert told[0].endswith(" documents")


def curiosity_without_agent(afm):
    @bpp.stage_decorator([afm])
    @bpp.run_decorator(md={"plan_name": "both"})
    @bpp.finalize_decorator(lambda: stubs.withdraw(afm))
    def plan():
        yield from stubs.take_image(afm)
        for place in PLACES[:3]:
            yield from bps.checkpoint()
            yield from stubs.take_spectrum(afm, place)

    return plan()


def test_a_tiled_that_hangs_is_given_up_and_the_plan_goes_on(data, afm, engine, monkeypatch):
    release = threading.Event()
    write = RunWriter._write_internal_data

    def hang(self, *args, **kwargs):
        release.wait(30)
        write(self, *args, **kwargs)

    monkeypatch.setattr(RunWriter, "_write_internal_data", hang)
    told = []
    with Storage.local(data, tell=told.append, patience=1.5, capacity=2) as storage:
        storage.attach(engine)
        (uid,) = engine(spectra_at(afm, PLACES[:20]))
        assert "1.5 s" in storage.failures[uid]
        assert len([message for message in told if "storage.repair" in message]) == 1
        assert storage.runs()[0].exit_status == "success"
        with pytest.raises(StorageError, match="last attempt"):
            storage.repair(uid)
        release.set()
        until(lambda: storage._writer.has_let_go(uid))
        storage.repair(uid)
        assert storage.failures == {}
        assert count_points(storage.catalog[uid]) == 20


RUN = """
import sys
from bluesky import RunEngine, plan_stubs as bps
from curio_plans.run import stubs
from curio_plans.plans import spectra_at
from curio_plans.store.storage import Storage
from ophyd_devices import AFM
from ophyd_devices.twin import twin

def slowly(*args, **more):
    reason = yield from stubs.take_spectrum(*args, **more)
    yield from bps.sleep(float(sys.argv[2]))
    return reason

engine = RunEngine({})
places = [(2.0 * number, 1.0 * number) for number in range(int(sys.argv[3]))]
with Storage.local(sys.argv[1]) as storage:
    storage.attach(engine)
    engine.subscribe(lambda name, doc: print(doc.get("seq_num", doc["uid"]), flush=True))
    engine(spectra_at(AFM(twin(seed=3), name="afm"), places, measure=slowly))
"""


def start_a_run(directory, pause, points):
    command = [*PYTHON, "-c", RUN, str(directory), str(pause), str(points)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_another_process_reads_a_run_while_it_goes_on_and_after_it_was_killed(data, engine, afm):
    polls = []
    with Storage.local(data) as storage:
        catalog = storage.catalog
        with start_a_run(data, 0.08, 1000) as process:
            uid = process.stdout.readline().strip()
            while not polls or polls[-1][0] < 20:
                if uid in catalog:
                    points = count_points(catalog[uid])
                    polls.append((points, read_stream(catalog[uid]).sizes["time"] if points else 0))
                assert process.poll() is None
            os.kill(process.pid, signal.SIGKILL)
            told = process.stdout.read().rsplit("\n", 1)[0].split("\n")
        documents = storage.documents(uid)
        measured = [doc for name, doc in documents if name == "event"]
        (run,) = storage.runs()
        assert run.exit_status is None
        assert run.points == len(measured) in (int(told[-1]), int(told[-1]) + 1), "the journal has every event"

        counts = [points for poll in polls for points in poll]
        assert counts == sorted(counts), "a later look shows no less"
        assert len(set(counts)) > 2, "it grew while the run went on"

        found = read_stream(catalog[uid])
        assert 20 <= found.sizes["time"] <= run.points
        for key, column in found.data_vars.items():
            np.testing.assert_array_equal(column, [event["data"][key] for event in measured[: len(column)]])

        storage.repair("latest")
        assert count_points(catalog[uid]) == run.points
        assert read_documents(catalog[uid])[-1][0] == "event", "it has no stop document"
        storage.attach(engine)
        (next_uid,) = engine(image(afm))
        assert storage.resolve("latest") == next_uid


def test_a_data_directory_may_be_copied_and_moved(data, tmp_path, afm, engine):
    with Storage.local(data) as storage:
        storage.attach(engine)
        (uid,) = engine(spectra_at(afm, PLACES[:3]))
        measured = read_stream(storage.catalog[uid])
    there = shutil.copytree(data, tmp_path / "a copy, with ' and é")
    with Storage.local(there) as copy:
        assert read_stream(copy.catalog[uid]).identical(measured)
        copy.attach(engine)
        (second,) = engine(spectra_at(afm, PLACES[:2]))
        copy.catalog.delete_contents(uid, recursive=True, external_only=False)
        copy.repair(uid)
        assert read_stream(copy.catalog[uid]).identical(measured)
        copy.catalog.delete_contents(uid, recursive=True, external_only=False)
    with Storage.local(data) as storage:
        assert read_stream(storage.catalog[uid]).identical(measured), "deleting in the copy does not reach the original"
        assert second not in storage.catalog
    moved = data.rename(tmp_path / "moved")
    with Storage.local(moved) as storage:
        assert read_stream(storage.catalog[uid]).identical(measured)
    uris = [uri for (uri,) in sqlite3.connect(moved / "tiled" / "catalog.db").execute("SELECT data_uri FROM assets")]
    assert uris
    assert all(str(moved.resolve()) in uri for uri in uris)


def test_a_second_way_to_the_same_directory_changes_nothing(data, tmp_path):
    from curio_plans.store.relocation import settle

    place = (data / "tiled").resolve()
    assert settle(place) == place
    (tmp_path / "mounted").symlink_to(data, target_is_directory=True)  # as a second mount, which resolves to itself
    assert settle(tmp_path / "mounted" / "tiled") == place
    assert (place / "place").read_text() == str(place)


def test_a_run_that_goes_on_is_not_repaired(data, afm, engine):
    refused = []

    def repair(name, doc):
        with pytest.raises(StorageError, match="still being measured"):
            storage.repair("latest")
        refused.append(name)

    with Storage.local(data) as storage:
        storage.attach(engine)
        engine.subscribe(repair, "event")
        engine(image(afm))
    assert refused == ["event"]


def test_two_processes_make_a_directory_and_write_to_it_at_once(tmp_path, afm, engine):
    data = tmp_path / "deep" / "new"
    with start_a_run(data, 0.02, 12) as other:
        while not (data / "tiled").exists():
            assert other.poll() is None
        with Storage.local(data) as storage:
            storage.attach(engine)
            engine(spectra_at(afm, PLACES[:12]))
            assert storage.failures == {}
            assert other.communicate(timeout=90)[0].count("\n") == 15
            assert other.returncode == 0
            assert [count_points(storage.catalog[run.uid]) for run in storage.runs()] == [12, 12]


def test_the_lines_of_a_journal_are_json(kept):
    storage, uid, _ = kept
    with (storage.directory / "journal" / uid / "documents.jsonl").open() as lines:
        names = [json.loads(line)[0] for line in lines]
    assert names[0] == "start"
    assert names[-1] == "stop"


def test_an_archive_that_cannot_be_written_can_be_read(tmp_path, afm, engine):
    with Storage.local(tmp_path / "data") as storage:
        storage.attach(engine)
        (uid,) = engine(spectra_at(afm, PLACES[:2]))
    bind = ["mount", "--bind", tmp_path / "data", tmp_path / "data"]
    if os.geteuid() == 0 and subprocess.run(bind, check=False).returncode:
        pytest.skip("root writes everywhere, and nothing can be mounted here")
    try:
        if os.geteuid() == 0:
            subprocess.run(["mount", "-o", "remount,ro,bind", tmp_path / "data"], check=True)
        else:
            (tmp_path / "data").chmod(0o500)
        with Storage.local(tmp_path / "data", writable=False) as storage:
            assert [run.uid for run in storage.runs()] == [uid]
            assert storage.documents("latest")[-1][0] == "stop"
            with pytest.raises(StorageError, match="cannot write to the data directory"):
                storage.attach(engine)
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", tmp_path / "data"], check=True)
        else:
            (tmp_path / "data").chmod(0o700)
