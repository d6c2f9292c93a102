import copy
import json
import multiprocessing
import sqlite3

import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.preprocessors import run_decorator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curio_plans.session.persistent import MetadataError, PersistentMetadata

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=10,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "metadata.db"


@pytest.fixture
def metadata(path):
    return PersistentMetadata(path)


@run_decorator()
def nothing():
    yield from bps.null()


def engine_of(metadata):
    engine = RunEngine(metadata, scan_id_source=metadata.next_scan_id)
    starts = []
    engine.subscribe(lambda _, doc: starts.append(doc), "start")
    return engine, starts


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text().filter(lambda key: key != "scan_id"), JSON, max_size=5))
def test_json_values_come_back_in_order_in_another_session(metadata, values):
    metadata.clear()
    metadata.update(values)
    for session in (metadata, PersistentMetadata(metadata.path)):
        assert dict(session) == values
        assert list(session) == list(values)
        assert json.dumps(dict(session)) == json.dumps(values)  # 1, 1.0 and True are equal in Python
        assert len(session) == len(values)


def test_it_is_a_mapping(metadata):
    metadata["operator"] = "Ada"
    assert "operator" in metadata
    assert "nobody" not in metadata
    assert metadata.get("nobody", "none") == "none"
    assert metadata.setdefault("operator", "Grace") == "Ada"
    assert metadata.pop("operator") == "Ada"
    with pytest.raises(KeyError, match="operator"):
        metadata["operator"]
    with pytest.raises(KeyError, match="operator"):
        del metadata["operator"]
    assert "metadata.db" in repr(metadata)


def test_a_session_sees_at_once_what_another_one_sets(metadata, path):
    other = PersistentMetadata(path)
    metadata["proposal"] = {"id": 1}
    assert other["proposal"] == {"id": 1}
    other["proposal"] = {"id": 2}
    assert metadata["proposal"] == {"id": 2}
    del other["proposal"]
    assert "proposal" not in metadata


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "object"),
        ({"a": {1, 2}}, "set"),
        ([float("nan")], "JSON compliant"),
        ({"a": [{1: "one"}]}, "expected text as names, got 1"),
        (b"bytes", "bytes"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_name_and_changes_nothing(metadata, value, message):
    metadata["proposal"] = {"id": 1}
    with pytest.raises((TypeError, ValueError), match=rf"'proposal'.*{message}"):
        metadata["proposal"] = value
    with pytest.raises((TypeError, ValueError), match="'other'"):
        metadata["other"] = value
    assert dict(metadata) == {"proposal": {"id": 1}}


def test_a_value_without_end_is_refused(metadata):
    endless = []
    endless.append(endless)
    with pytest.raises(ValueError, match="'proposal'"):
        metadata["proposal"] = endless
    assert not metadata


def test_a_name_must_be_a_text(metadata):
    with pytest.raises(TypeError, match="got 3"):
        metadata[3] = "three"
    assert not metadata


def test_a_change_inside_a_value_is_kept(metadata, path):
    metadata["proposal"] = {"id": 1, "people": ["Ada"]}
    metadata["proposal"]["id"] = 2
    metadata["proposal"]["people"].append("Grace")
    assert metadata["proposal"] == {"id": 2, "people": ["Ada", "Grace"]}
    assert PersistentMetadata(path)["proposal"]["people"] == ["Ada", "Grace"]
    metadata["proposal"]["id"] = 3
    metadata.flush()
    assert PersistentMetadata(path)["proposal"]["id"] == 3


def test_a_change_inside_a_value_that_json_cannot_hold_is_refused_and_forgotten(metadata):
    metadata["proposal"] = {"id": 1}
    metadata["proposal"]["id"] = {1, 2}
    with pytest.raises(TypeError, match="'proposal'"):
        metadata.flush()
    assert dict(metadata) == {"proposal": {"id": 1}}


def test_a_copy_is_a_plain_dict(metadata, path):
    metadata["proposal"] = {"id": 1}
    copied = copy.deepcopy(metadata)
    assert type(copied) is dict
    copied["proposal"]["id"] = 2
    assert metadata["proposal"] == {"id": 1}


def test_the_run_engine_goes_on_counting_in_the_next_session(metadata, path):
    engine, starts = engine_of(metadata)
    engine.md["operator"] = "Ada"
    engine(nothing())
    engine(nothing())
    again, more = engine_of(PersistentMetadata(path))
    again(nothing())
    assert [doc["scan_id"] for doc in starts + more] == [1, 2, 3]
    assert {doc["operator"] for doc in starts + more} == {"Ada"}
    assert more[0]["versions"]["bluesky"]


def test_two_open_sessions_never_share_a_scan_id(metadata, path):
    (first, ours), (second, theirs) = engine_of(metadata), engine_of(PersistentMetadata(path))
    for engine in (first, second, second, first, first, second):
        engine(nothing())
    assert [doc["scan_id"] for doc in ours] == [1, 4, 5]
    assert [doc["scan_id"] for doc in theirs] == [2, 3, 6]


def test_a_number_drawn_in_between_is_neither_lost_nor_shown(metadata, path):
    other = PersistentMetadata(path)
    number = metadata.next_scan_id(metadata)
    assert other.next_scan_id(other) == number + 1
    metadata["scan_id"] = number  # as the RunEngine does
    assert metadata["scan_id"] == number
    assert other["scan_id"] == number + 1
    assert metadata.next_scan_id() == number + 2


def test_counting_goes_on_from_a_higher_number_or_anew_after_deleting(metadata):
    metadata["scan_id"] = 100
    assert metadata.next_scan_id() == 101
    del metadata["scan_id"]
    assert "scan_id" not in metadata
    assert metadata.next_scan_id() == 1


@pytest.mark.parametrize("value", ["7", 7.0, True, None])
def test_a_scan_id_is_a_whole_number(metadata, value):
    metadata["scan_id"] = 3
    with pytest.raises(TypeError, match="'scan_id': expected a whole number"):
        metadata["scan_id"] = value
    assert metadata["scan_id"] == 3


def draw(path, numbers, barrier):
    barrier.wait(30)
    metadata = PersistentMetadata(path)
    drawn = []
    for _ in range(50):
        number = metadata.next_scan_id(metadata)
        metadata["scan_id"] = number
        drawn.append(metadata["scan_id"])
    numbers.put(drawn)


def test_two_processes_draw_each_number_once(path):
    # The file does not exist yet: both also race to make it.
    spawn = multiprocessing.get_context("spawn")
    numbers, barrier = spawn.Queue(), spawn.Barrier(2)
    processes = [spawn.Process(target=draw, args=(path, numbers, barrier)) for _ in range(2)]
    for process in processes:
        process.start()
    drawn = [numbers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert sorted(drawn[0] + drawn[1]) == list(range(1, 101))
    assert PersistentMetadata(path)["scan_id"] == 100


def test_a_file_that_is_something_else_is_named(path):
    path.parent.mkdir()
    path.write_bytes(b"rubbish " * 200)
    with pytest.raises(MetadataError, match=r"metadata\.db.*not a database.*move it away"):
        PersistentMetadata(path)
    assert path.read_bytes() == b"rubbish " * 200


def test_a_file_that_breaks_later_is_named(metadata, path):
    metadata["operator"] = "Ada"
    path.write_bytes(b"rubbish " * 200)
    with pytest.raises(MetadataError, match=r"metadata\.db.*not a database"):
        metadata["operator"]
    with pytest.raises(MetadataError, match=r"metadata\.db.*not a database"):
        metadata.next_scan_id()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MetadataError, match=r"metadata\.db"):
        PersistentMetadata(tmp_path / "file" / "metadata.db")
    with pytest.raises(MetadataError, match="unable to open"):
        PersistentMetadata(tmp_path)


def test_a_session_that_never_ends_its_writing_is_waited_for_and_then_told(metadata, path):
    hasty = PersistentMetadata(path, timeout=0.1)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    with pytest.raises(MetadataError, match="locked"):
        hasty["operator"] = "Ada"
    database.execute("COMMIT")
    database.close()
    hasty["operator"] = "Ada"
    assert metadata["operator"] == "Ada"


def test_what_somebody_else_wrote_into_the_file_is_named(metadata, path):
    metadata["operator"] = "Ada"
    metadata.next_scan_id()
    database = sqlite3.connect(path)
    with database:
        database.execute("UPDATE metadata SET value = 'Ada'")
    database.close()
    with pytest.raises(MetadataError, match="'operator' is not JSON"):
        metadata["operator"]
    with pytest.raises(MetadataError, match="'scan_id' is not JSON"):
        metadata.next_scan_id()
    del metadata["operator"], metadata["scan_id"]
    assert not metadata
