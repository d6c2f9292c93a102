"""A plan of a user, made of stubs: it is listed, shown and exported; what needs an agent says that it has none."""

import re

import h5py
import numpy as np
import pytest
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from support import measure
from terminal import curio

from curio_plans import report
from curio_plans.documents.history import History
from curio_plans.documents.streams import STREAMS, Point, Written
from curio_plans.run import stubs
from curio_plans.store.journal import Journal

PLACES = ((300.0, 500.0), (600.0, 500.0))

NOTES = {"microscope": "the left one", "sample": "PTO-7", "agent": {"agent": "Ada"}, "points": "many",
         "pool": {"channels": "deep", "window": "open", "stride": None}, "experiment": "walls", "versions": "new",
         "learned_from": "books", "rebuilt": "in 1990", "plan_args": "none", "num_points": {}}  # fmt: skip
"""What a user may write into the start document of their own plan; curiosity keeps other things by these names."""


def own_plan(afm, md):
    @bpp.stage_decorator([afm])
    @bpp.run_decorator(md={"plan_name": "mine", **md})
    def run():
        yield from stubs.take_image(afm)
        for place in PLACES:
            yield from stubs.take_spectrum(afm, place)
        yield from stubs.withdraw(afm)

    return run()


@pytest.fixture(scope="module", params=[{}, NOTES], ids=["bare", "noted"])
def documents(request):
    return measure(own_plan, request.param)


@pytest.fixture
def stored(documents, data):
    """A data directory with that run."""
    keep(data, documents)
    return data


def keep(directory, documents):
    journal = Journal(directory)
    for name, doc in documents:
        journal(name, doc)
    journal.close()


def test_it_is_listed_and_shown(stored, tmp_path):
    (row,) = curio("runs", directory=stored).splitlines()[1:]
    assert re.search(r"mine +(Ada +)?2 +success", row)
    output = curio("show", "--output", tmp_path / "run.png", directory=stored)
    assert re.search(r"plan +mine", output)
    assert re.search(r"images +1 measured", output)
    assert re.search(r"points +2 measured", output)
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_its_points_are_drawn_where_they_were_measured(documents):
    history = History(documents)
    drawn = report.figure(history)
    image, *spectra = drawn.axes[:3]
    np.testing.assert_allclose(image.collections[0].get_offsets(), PLACES, atol=5)
    assert [axes.get_title() for axes in spectra] == ["A: point 1", "B: point 2"]
    for axes, point in zip(spectra, history.of(Point), strict=True):
        np.testing.assert_array_equal(axes.lines[0].get_ydata(), point.spectrum)
        assert axes.get_xlabel() == "bias / V"


@pytest.mark.parametrize(
    "command",
    [["replay"], ["replay", "--agent", "random"], ["explain", "latest", 1], ["report"]],
    ids=["replay", "other", "explain", "report"],
)
def test_what_needs_an_agent_says_that_it_has_none(stored, command):
    output = curio(*command, directory=stored, code=2)
    assert "of the plan 'mine' has no agent in its start document: expected a run of the plan 'curiosity'" in output
    assert "Traceback" not in output


def test_no_agent_learns_from_it(stored):
    arguments = ["--learn-from", "latest", "--agent", "curio", "--points", 20, "--pixels", 32]
    output = curio("run", *arguments, directory=stored, code=2)
    words = (
        "of the plan 'mine' cannot be learned from: expected a run of the plan 'curiosity' with an image and at least"
    )
    assert words in output
    assert "got 1 image(s) and 0 spectra that an agent asked for; choose another run" in output


def test_it_is_exported(stored, tmp_path):
    curio("export", "--to", tmp_path / "run.nxs", directory=stored)
    with h5py.File(tmp_path / "run.nxs") as file:
        np.testing.assert_allclose(file["entry/points/x"], [x for x, _ in PLACES], atol=5)
        assert file["entry/image/polarisation"].shape == (32, 32)
    curio("export", "--to", tmp_path / "run.npz", directory=stored)
    with np.load(tmp_path / "run.npz") as sample:
        assert len(sample["spectra"]) == len(PLACES)


def test_streams_of_the_same_names_from_other_devices_are_passed_over(afm, tmp_path):
    def run():
        yield from bps.open_run(md={"plan_name": "other"})
        yield from bps.trigger_and_read([afm.tip], name="image")
        yield from bps.trigger_and_read([afm.tip], name="primary")
        yield from bps.close_run()

    history = History(measure(lambda _: run(), afm=afm))
    assert history.images == history.of(Point) == []
    assert history.microscope == ""


def with_own_streams(documents, data_of):
    """The same run, where a plan of one's own also used the name of each of our streams for its own data."""
    start, stop = documents[0][1], documents[-1]
    taken = {doc["name"] for name, doc in documents if name == "descriptor"}
    more = []
    for stream in set(STREAMS) - taken:
        data = data_of(STREAMS[stream])
        described = {key: {"source": "mine", "dtype": "string", "shape": []} for key in data}
        descriptor = {"uid": f"d-{stream}", "run_start": start["uid"], "time": 5e8, "name": stream,
                      "data_keys": described, "configuration": {}, "hints": {}, "object_keys": {}}  # fmt: skip
        event = {"uid": f"e-{stream}", "descriptor": f"d-{stream}", "time": 5e8, "seq_num": 1, "data": data,
                 "timestamps": dict.fromkeys(data, 5e8), "filled": {}}  # fmt: skip
        more += [("descriptor", descriptor), ("event", event)]
    return [*documents[:-1], *more, stop]


READERS = {
    "show": ["show", "--no-figure"], "figure": ["show", "--output", "FILE.png"], "replay": ["replay"],
    "other": ["replay", "--agent", "random"], "explain": ["explain", "latest", 1], "report": ["report"],
    "table": ["replay", "--table"], "nexus": ["export", "--to", "FILE.nxs", "--force"],
    "sample": ["export", "--to", "FILE.npz", "--force"], "resume": ["resume"],
    "learn": ["run", "--learn-from", "latest", "--agent", "curio", "--points", 20, "--pixels", 32],
}  # fmt: skip
"""Every command that reads what a run means."""
WORKS = ("show", "figure", "table", "nexus", "sample")


@pytest.mark.parametrize("documents", [NOTES], indirect=True)
@pytest.mark.parametrize("name", READERS)
def test_streams_of_ones_own_with_names_of_ours_break_no_reader(name, documents, data, tmp_path):
    keep(data, with_own_streams(documents, lambda _: {"note": "sunny", "value": "high"}))
    arguments = [str(word).replace("FILE", str(tmp_path / "run")) for word in READERS[name]]
    output = curio(*arguments, directory=data, code=0 if name in WORKS else 2)
    assert name in WORKS or re.search(r"error: .*(expected|got|only runs of the plan curiosity)", output)


@pytest.mark.parametrize("documents", [NOTES], indirect=True)
@pytest.mark.parametrize("name", ["show", "replay", "nexus", "resume"])
def test_streams_with_our_data_keys_and_other_values_are_refused_in_a_sentence(name, documents, data, tmp_path):
    keep(data, with_own_streams(documents, lambda kind: {f"{kind.stream}_{key}": "high" for key in kind.keys}
                                if issubclass(kind, Written) else {"note": "sunny"}))  # fmt: skip
    arguments = [str(word).replace("FILE", str(tmp_path / "run")) for word in READERS[name]]
    output = curio(*arguments, directory=data, code=2)
    assert "has the data keys of one of curio's, but not its values" in output
    assert "a stream of your own needs another name" in output
