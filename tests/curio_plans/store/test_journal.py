import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.preprocessors import SupplementalData
from documents import keep, lines_of, run_documents, same
from processes import PYTHON

from curio_plans.plans import image, spectra_at
from curio_plans.store.errors import JournalError
from curio_plans.store.journal import Journal
from curio_plans.store.places import journalled
from curio_plans.store.reader import is_open, read_journal, read_start, summarise

VALUES = {
    "float": 0.1,
    "nan": float("nan"),
    "infinite": -float("inf"),
    "minus zero": -0.0,
    "large": 2**60 + 1,
    "bool": True,
    "none": None,
    "text": 'µ "quoted"\nλ',
    "float32": np.float32(0.1),
    "float64": np.float64("nan"),
    "int8": np.int8(-3),
    "numpy bool": np.bool_(True),
    "numpy text": np.str_("abc"),
    "complex": np.complex128(1 + 2j),
    "tuple": (1, (2.0, "three")),
    "numbers as keys": {1: "one", (2, 3): "two", "four": [4]},
    "a tag of ours": {"__npy__": "000000.npy", "__tuple__": [1]},
    "small": np.arange(4, dtype=">i2").reshape(2, 2),
    "small with nan": np.array([np.nan, np.inf, 1e-300]),
    "single": np.array(3.5, np.float32),
    "empty": np.zeros((0, 3), np.float32),
    "names": np.array(["amplitude", "phase"]),
    "objects": np.array([None, "a", 1, [2, 3]], dtype=object),
    "bools": np.array([True, False]),
    "spectrum": np.linspace(-1, 1, 256),
    "single spectrum": np.linspace(-1, 1, 256).astype("<f4"),
    "frame": np.random.default_rng(0).random((4, 32, 32)).astype(np.float32),
    "transposed": np.arange(60, dtype=np.uint16).reshape(5, 12).T,
    "many names": np.array([f"name {number}" for number in range(20)]),
    "complex spectrum": np.exp(1j * np.linspace(0, 1, 20)),
    "long double": np.array([1, 2], np.longdouble),
    "dates": np.array(["2026-01-01"], "datetime64[s]"),
}


@pytest.mark.parametrize("key", VALUES)
def test_any_value_comes_back_as_it_was(tmp_path, key):
    documents = run_documents("a", {key: VALUES[key]})
    keep(tmp_path, documents)
    assert same(read_journal(tmp_path, "a"), documents)


def test_a_whole_run_comes_back_as_it_was_emitted(tmp_path, afm, engine, documents):
    engine.preprocessors.append(SupplementalData(baseline=afm.baseline))
    engine.subscribe(Journal(tmp_path))
    (uid,) = engine(image(afm, md={"where": ("here", 1)}))
    assert same(read_journal(tmp_path, uid), documents)
    assert read_start(tmp_path, uid)["where"] == ("here", 1)


def test_interleaved_runs_are_kept_apart(tmp_path):
    one, two = run_documents("one", {"x": 1.0}), run_documents("two", {"x": np.ones(100)})
    keep(tmp_path, [document for pair in zip(one, two, strict=True) for document in pair])
    assert same(read_journal(tmp_path, "one"), one)
    assert same(read_journal(tmp_path, "two"), two)
    assert sorted(journalled(tmp_path)) == ["one", "two"]


def test_pages_resources_and_datums_find_their_run(tmp_path):
    documents = {uid: run_documents(uid, {"x": 1.0}) for uid in ("one", "two")}
    journal = Journal(tmp_path)
    for uid in documents:
        page = {"descriptor": f"{uid}-d", "seq_num": [2, 3], "data": {"x": [1.0, 2.0]}}
        more = [
            ("resource", {"uid": f"{uid}-r", "run_start": uid}),
            ("datum", {"datum_id": f"{uid}-r/1", "resource": f"{uid}-r"}),
            ("datum_page", {"datum_id": [f"{uid}-r/2"], "resource": f"{uid}-r"}),
            ("stream_resource", {"uid": f"{uid}-sr", "run_start": uid}),
            ("stream_datum", {"uid": f"{uid}-sd", "stream_resource": f"{uid}-sr", "descriptor": f"{uid}-d"}),
            ("event_page", page),
        ]
        documents[uid][3:3] = more
    for pair in zip(documents["one"], documents["two"], strict=True):
        for name, doc in pair:
            journal(name, doc)
    for uid, emitted in documents.items():
        assert same(read_journal(tmp_path, uid), emitted)
        assert summarise(tmp_path, uid).points == 3


def test_the_summary_counts_the_points_that_are_there(tmp_path, afm, engine):
    engine.subscribe(Journal(tmp_path))
    (uid,) = engine(spectra_at(afm, [(1, 2), (3, 4), (5, 6)]))
    summary = summarise(tmp_path, uid)
    assert summary.start["plan_name"] == "spectra_at"
    assert summary.stop["exit_status"] == "success"
    assert (summary.points, summary.damage) == (3, "")


def test_a_torn_last_line_is_left_out(tmp_path):
    documents = run_documents("a", {"x": np.ones(100)})
    keep(tmp_path, documents)
    path = lines_of(tmp_path, "a")
    whole = path.read_bytes()
    for torn in (whole[:-1], whole[:-20], whole[:-20] + bytes(30)):
        path.write_bytes(torn)
        expected = documents if torn == whole[:-1] else documents[:-1]
        assert same(read_journal(tmp_path, "a"), expected)
        assert summarise(tmp_path, "a").points == 1


def test_a_damaged_line_in_the_middle_is_an_error_that_names_it(tmp_path):
    keep(tmp_path, run_documents("a", {"x": 1.0}))
    path = lines_of(tmp_path, "a")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], lines[1][:20] + "\n", *lines[2:]]))
    with pytest.raises(JournalError, match="line 2 of 4"):
        read_journal(tmp_path, "a")


def test_a_lost_array_is_an_error_that_names_its_file(tmp_path):
    keep(tmp_path, run_documents("a", {"x": np.ones(100)}))
    (lines_of(tmp_path, "a").parent / "000000.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(JournalError, match=r"000000\.npy"):
        read_journal(tmp_path, "a")


def test_what_the_journal_cannot_take_is_refused(tmp_path):
    with pytest.raises(JournalError, match="subscribe before the run starts"):
        Journal(tmp_path)("event", {"descriptor": "unheard of"})
    with pytest.raises(JournalError, match="got a start with: what of type object"):
        Journal(tmp_path)("start", {"uid": "a", "time": 0.0, "what": object()})
    keep(tmp_path, run_documents("b", {"x": 1.0}))
    with pytest.raises(JournalError, match="already in the journal"):
        Journal(tmp_path)("start", {"uid": "b", "time": 0.0})


@pytest.mark.parametrize("uid", ["nothing", "", "..", "../journal/b"])
def test_there_is_no_such_run(tmp_path, uid):
    keep(tmp_path, run_documents("b", {"x": 1.0}))
    with pytest.raises(JournalError):
        read_journal(tmp_path, uid)


def test_a_run_is_open_until_its_stop(tmp_path):
    journal = Journal(tmp_path)
    documents = run_documents("a", {"x": 1.0})
    for name, doc in documents[:3]:
        journal(name, doc)
        assert is_open(tmp_path, "a")
    journal(*documents[3])
    assert not is_open(tmp_path, "a")


FULL_DISK = """
import resource, sys
import numpy as np
from bluesky import RunEngine, plan_stubs as bps, preprocessors as bpp
from ophyd import Signal
from curio_plans.store.journal import Journal

engine = RunEngine({})
engine.subscribe(Journal(sys.argv[1]))
signal = Signal(name="signal", value="x" * 4000)

@bpp.run_decorator()
def plan():
    for _ in range(20):
        yield from bps.trigger_and_read([signal])

# A file may grow to 20 kB: as good as a full disk.
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    engine(plan())
except OSError as error:
    print(type(error).__name__, len(engine._run_start_uids))
"""


def test_a_full_disk_ends_the_plan_and_leaves_a_readable_journal(tmp_path):
    command = [sys.executable, "-c", FULL_DISK, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("OSError"), done.stderr
    (uid,) = journalled(tmp_path)
    names = [name for name, _ in read_journal(tmp_path, uid)]
    assert names[:2] == ["start", "descriptor"]
    assert 1 <= names.count("event") < 20
    assert names[-1] == "stop", "there was room for the stop document, and no half line before it"


MEASURE = """
import sys
from bluesky import RunEngine
from curio_plans.store.journal import Journal
from curio_plans.plans import grid_spectroscopy
from ophyd_devices import AFM
from ophyd_devices.twin import twin

engine = RunEngine({})
engine.subscribe(Journal(sys.argv[1]))
engine.subscribe(lambda name, doc: print(doc["seq_num"], flush=True), "event")
engine(grid_spectroscopy(AFM(twin(seed=3), name="afm"), 50, 50))
"""


def test_a_process_that_is_killed_loses_no_complete_event(tmp_path):
    with subprocess.Popen([*PYTHON, "-c", MEASURE, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) == 12:
                time.sleep(0.01)
                os.kill(process.pid, signal.SIGKILL)
                break
        told = max([12, *(int(line) for line in process.stdout if line.endswith("\n"))])
    (uid,) = journalled(tmp_path)
    events = [doc for name, doc in read_journal(tmp_path, uid) if name == "event"]
    assert [event["seq_num"] for event in events] == list(range(1, len(events) + 1))
    assert len(events) in (told, told + 1)
    assert all(event["data"]["afm_spectrometer_spectrum"].shape == (96,) for event in events)
    assert not is_open(tmp_path, uid)
    summary = summarise(tmp_path, uid)
    assert (summary.stop, summary.points, summary.damage) == (None, len(events), "")


def test_a_repeated_event_counts_once(tmp_path):
    documents = run_documents("a", {"x": 1.0})
    keep(tmp_path, [*documents[:3], documents[2], documents[3]])
    assert summarise(tmp_path, "a").points == 1


def test_two_runs_at_once_in_one_plan(tmp_path):
    engine = RunEngine({})
    engine.subscribe(Journal(tmp_path))

    def plan():
        for key in ("one", "two"):
            yield from bpp.set_run_key_wrapper(bps.open_run({"which": key}), key)
        for key in ("one", "two"):
            yield from bpp.set_run_key_wrapper(bps.close_run(), key)

    uids = engine(plan())
    assert [read_start(tmp_path, uid)["which"] for uid in uids] == ["one", "two"]
    assert all(summarise(tmp_path, uid).stop["exit_status"] == "success" for uid in uids)
