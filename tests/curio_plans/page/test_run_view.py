"""What the page is told of a run: the same as the documents say, however they came."""

import shutil

import numpy as np
import pytest

from curio_plans.documents.history import History
from curio_plans.page.runs import Runs
from curio_plans.page.view import RunView
from curio_plans.store.errors import RunNotFound
from curio_plans.store.places import LINES


@pytest.fixture(scope="module")
def view(measured):
    data, uid, _ = measured
    view = RunView(data, uid)
    assert view.update()
    assert not view.update()
    return view


def test_rows_and_arrays_are_those_of_the_documents(view, measured):
    history = History(measured[2])
    points = np.array(view.rows["points"])
    np.testing.assert_array_equal(points[:, 1], history.measured())
    np.testing.assert_array_equal(points[:, 0], range(12))
    np.testing.assert_array_equal(points[:, 2:4], [one.position for one in history.observations])
    decisions = dict(zip(view.columns("decisions"), np.array(view.rows["decisions"]).T, strict=True))
    assert [view.phases[int(phase)] for phase in decisions["phase"]] == ["initial"] * 4 + ["wandering"] * 8
    np.testing.assert_array_equal(decisions["score"], [one.score for one in history.decisions])
    np.testing.assert_array_equal(decisions["part novelty"], [one.parts["novelty"] for one in history.decisions])
    truth = history.reference
    floor = ((truth - truth.mean(axis=0)) ** 2).mean()
    np.testing.assert_allclose(decisions["nmse"], [one.map_mse / floor for one in history.decisions])
    for number, observation in enumerate(history.observations):
        np.testing.assert_array_equal(view.spectrum("points", number), observation.spectrum)
    assert [one["observations"] for one in view.maps] == [one.observations for one in history.maps]
    np.testing.assert_array_equal(view.map(1, "predicted_error"), history.maps[1].maps["predicted_error"])
    expected = np.sqrt(((history.maps[1].prediction - truth) ** 2).mean(axis=1))
    np.testing.assert_allclose(view.map(1, "true_error"), expected, rtol=1e-6)
    for number, image in enumerate(history.images):
        np.testing.assert_array_equal(view.image(number, 2), image.frame[2])
    assert len(view.rows["drifts"]) == len(history.drifts) == 2
    assert view.state() == ("ended", "")


def test_a_run_that_grows_is_read_piece_by_piece_and_a_killed_one_is_dead(measured, tmp_path):
    data, uid, _ = measured
    folder = shutil.copytree(data / "journal" / uid, tmp_path / "journal" / uid)
    lines = (folder / LINES).read_bytes()
    whole = RunView(data, uid)
    whole.update()
    (folder / LINES).write_bytes(lines[:200])  # a torn start document
    view = RunView(tmp_path, uid)
    for end in (200, len(lines) // 3, len(lines) // 2, len(lines) - 40):
        (folder / LINES).write_bytes(lines[:end])
        view.update()
        assert view.state()[0] == "dead"
    assert view.rows["points"] == whole.rows["points"]
    (folder / LINES).write_bytes(lines)
    assert view.update()
    np.testing.assert_equal((view.rows, view.log, view.damage), (whole.rows, whole.log, ""))
    assert view.state() == ("ended", "")


def test_a_damaged_line_is_told_and_the_rest_is_shown(measured, tmp_path):
    data, uid, _ = measured
    folder = shutil.copytree(data / "journal" / uid, tmp_path / "journal" / uid)
    lines = (folder / LINES).read_bytes().splitlines(keepends=True)
    lines[-2] = lines[-2].replace(b"1", b"2", 1)
    (folder / LINES).write_bytes(b"".join(lines))
    view = RunView(tmp_path, uid)
    view.update()
    assert "checksum differs" in view.damage
    assert len(view.rows["points"]) == 12


def test_runs_are_found_by_their_words(measured):
    data, uid, _ = measured
    runs = Runs(data)
    (line,) = runs.list("curiosity WANDERER", 10, 0)["runs"]
    assert (line["uid"], line["points"], line["planned"], line["state"]) == (uid, 12, 12, "ended")
    assert runs.list("curiosity nothing-like-it", 10, 0)["found"] == 0
    with pytest.raises(RunNotFound):
        runs.view("../../etc")
