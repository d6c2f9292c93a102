"""A sample with spectra at some places only: run, replayed, drawn, reported and exported like any other."""

from contextlib import closing

import h5py
import numpy as np
import pytest
from support import events, measure, microscope

from agents.registry import build, configure
from curio_plans.documents.agent_run import AgentRun
from curio_plans.documents.history import History
from curio_plans.export import export
from curio_plans.plans import curiosity
from curio_plans.report.figures import write_figures
from curio_plans.report.overview import save_figure
from curio_plans.report.summary import summary
from curio_plans.study.errors import belief_maps
from curio_plans.study.evaluation import evaluate
from curio_plans.study.replay import verify
from ophyd_devices.twin import recorded


def save(path, places, **more):
    """Save an image of 40×50 px, and a spectrum at each of the places that follows from it."""
    y, x = np.mgrid[:40, :50]
    image = np.sin(x / 7) * np.cos(y / 5)
    at = image[np.floor(places[:, 1] / 10).astype(int), np.floor(places[:, 0] / 10).astype(int)]
    axis = np.linspace(-1, 1, 12)
    spectra = at[:, None] * np.exp(-((axis / 0.4) ** 2)) + np.random.default_rng(0).normal(0, 0.02, (len(at), 12))
    np.savez(path, image=image, extent_nm=[500.0, 400.0], spectra=spectra, positions_nm=places, axis=axis, **more)
    return path


SCATTERED = np.random.default_rng(3).uniform((5, 5), (495, 395), size=(70, 2))


@pytest.fixture(scope="module")
def scattered(tmp_path_factory):
    path = save(tmp_path_factory.mktemp("sample") / "scattered.npz", SCATTERED)
    with closing(microscope(recorded(path))) as afm:
        config = configure("curio", initial=6, checks=5)
        return measure(curiosity, config, 16, afm=afm, build=build, edge="reflect", window=5)


def test_it_measures_only_where_a_spectrum_is(scattered):
    history = History(scattered)
    assert history.pool.grid is None
    np.testing.assert_array_equal(history.pool.positions, SCATTERED)
    taken = np.array([[e["data"]["afm_scanner_x"], e["data"]["afm_scanner_y"]] for e in events(scattered, "primary")])
    assert len(taken) == 16
    assert set(map(tuple, taken)) <= set(map(tuple, SCATTERED))
    start = dict(scattered)["start"]
    assert start["pool"] == {"window": 5, "stride": 1, "edge": "reflect", "channels": ["image"]}


def test_it_replays(scattered):
    assert verify(scattered, build).identical


def test_it_is_drawn_and_summarised(scattered, tmp_path):
    run = AgentRun.read(scattered, None)
    assert summary(run)["pool"] == "70 candidates (no grid), window 5 px, reflected at the edge"
    assert belief_maps(run).sizes == {"candidate": 70}
    assert save_figure(run, tmp_path / "run.png", evaluate(run)).stat().st_size > 20_000
    written, skipped = write_figures(run, build, tmp_path, ["maps", "acquisitions", "errors"])
    assert len(written) == 3, skipped


def test_it_is_exported(scattered, tmp_path):
    with h5py.File(export(scattered, tmp_path / "run.nxs")) as file:
        belief = file["entry/belief"]
        np.testing.assert_array_equal(np.stack([belief["x"], belief["y"]], axis=1), SCATTERED)
    assert export(scattered, tmp_path / "run.hf5").is_file()


def test_a_grid_of_its_own_keeps_the_resolution_of_the_image(tmp_path):
    x, y = np.meshgrid(np.arange(45, 460, 45.0), np.arange(40, 370, 40.0))
    path = save(tmp_path / "grid.npz", np.stack([x.ravel(), y.ravel()], axis=1))
    with closing(microscope(recorded(path))) as afm:
        documents = measure(curiosity, configure("random"), 12, afm=afm, build=build, window_nm=70.0)
    start, history = dict(documents)["start"], History(documents)
    assert history.pool.grid == (9, 10)
    assert history.frame.shape == (1, 40, 50)
    assert start["pool"] == {"window": 7, "stride": 1, "edge": "inside", "channels": ["image"]}
    assert start["plan_args"]["window_nm"] == 70.0
    assert history.pool.patches.shape == (90, 1, 7, 7)
    spectra = np.load(export(documents, tmp_path / "again.npz", truth=True))
    assert spectra["spectra"].shape == (9, 10, 12)
    np.testing.assert_allclose(spectra["extent_nm"], [22.5, 472.5, 20.0, 380.0])


def test_a_window_is_given_once_and_is_large_enough(tmp_path):
    path = save(tmp_path / "scattered.npz", SCATTERED)
    with closing(microscope(recorded(path))) as afm:
        with pytest.raises(ValueError, match="given twice, 5 px and 50 nm"):
            list(curiosity(afm, configure("random"), 5, build=build, window=5, window_nm=50.0))
        with pytest.raises(ValueError, match="a window of 20 nm is 2 px of 10 nm, and must be at least 3 px"):
            list(curiosity(afm, configure("random"), 5, build=build, window_nm=20.0))
