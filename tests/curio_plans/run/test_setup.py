"""How the microscope is set for one run: by a plan, the command line and a settings file; then it is as before."""

import json

import numpy as np
import pytest
from support import measure
from terminal import curio

from curio_plans.documents.history import History
from curio_plans.plans import curiosity, grid_spectroscopy, image, resume
from curio_plans.rules import Setup
from curio_plans.run import set_up
from curio_plans.store.storage import Storage

SMALL = {"area": (100, 400, 200, 600), "pixels": (24, 20), "amplitude": 5, "cycles": 1, "velocity": 500}


def settings_of(afm):
    devices = (afm.imager, afm.spectrometer, afm.scanner, afm.tip)
    return {key: np.array(entry["value"]).tolist()
            for device in devices for key, entry in device.read_configuration().items()}  # fmt: skip


def test_a_run_is_measured_as_it_says_and_resumed_so(afm, wanderer):
    before = settings_of(afm)
    documents = measure(curiosity, {}, 6, build=wanderer, setup=SMALL, afm=afm)
    history = History(documents)
    assert history.images[0].frame.shape[1:] == (24, 20)
    assert len(history.observations[0].spectrum) == 16
    assert np.abs(history.spectroscopy.axis).max() == 5
    x = np.array([observation.position[0] for observation in history.observations])
    assert x.min() > 80
    assert x.max() < 420
    assert settings_of(afm) == before
    (extended,) = [doc for name, doc in measure(
        resume, "uid", build=wanderer, stored=lambda _: documents, points=8, rebuild=False, afm=afm
    ) if name == "stop"]  # fmt: skip
    assert extended["num_events"]["primary"] == 2
    assert settings_of(afm) == before


def test_other_plans_take_it_too(afm):
    frame = History(measure(image, setup={"pixels": 16, "area": "0, 200, 0, 100"}, afm=afm)).images[0]
    assert frame.frame.shape[1:] == (16, 16)
    start, *_ = measure(grid_spectroscopy, 2, 1, setup=SMALL, afm=afm)
    assert start[1]["plan_args"]["area"] == (100, 400, 200, 600)
    assert start[1]["plan_args"]["setup"]["pixels"] == [24, 20]
    json.dumps(start[1]["plan_args"])


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        ({"area": (0, 100, 0, 1e6)}, r"setup: area = .*reaches outside the scan range"),
        ({"cycles": 1, "steps_per_cycle": 30}, "setup: steps_per_cycle = 30: .*expected a multiple of 4"),
        ({"amplitude": 1000.0}, r"setup: amplitude = 1000.0: .*outside 0 …"),
        ({"distance": 10.0}, "setup: distance = 10.0: .*takes spectra over bias; they have no distance"),
        ({"pixels": "many"}, "setup: pixels"),
        ({"speed": 3}, "setup: speed: there is no such key, got 3; known are area, pixels"),
    ],
)
def test_what_is_refused_changes_nothing(afm, setup, words):
    before = settings_of(afm)
    with pytest.raises(ValueError, match=words):
        measure(image, setup=setup, afm=afm)
    assert settings_of(afm) == before


def test_a_failure_in_the_context_sets_back(afm):
    before = settings_of(afm)

    def fail():
        with set_up(afm, Setup(pixels=(16, 16), dwell=0.1)):
            raise ZeroDivisionError(afm.spectrometer.dwell.get())

    with pytest.raises(ZeroDivisionError, match=r"0\.1"):
        fail()
    assert settings_of(afm) == before


def test_the_command_line_comes_before_the_settings_file(data, tmp_path):
    (tmp_path / "lab.toml").write_text(
        '[envelope]\namplitude_max = 6.0\nforbidden = [{ kind = "circle", x = 100, y = 1000, radius = 10 }]\n'
        '[setup]\npixels = 32\ncycles = 1\nvelocity = 700\n'
    )  # fmt: skip
    said = curio("run", "--settings", tmp_path / "lab.toml", "--agent", "random", "--points", 2, "--setup",
                 "velocity=900", "--image-channel", "polarisation", "--no-figure", directory=data)  # fmt: skip
    assert "the image is (160, 2000, 0, 2000) nm, clear of the forbidden zones" in said
    with Storage.local(data) as storage:
        history = History(storage.documents("latest"))
    assert history.start["pool"]["channels"] == ["polarisation"]
    assert history.pool.patches.shape[1] == 1
    assert history.images[0].frame.shape[1:] == (32, 32)
    assert len(history.observations[0].spectrum) == 32
    assert np.abs(history.spectroscopy.axis).max() == 6, "the default amplitude keeps to the envelope"
    assert history.start["plan_args"]["setup"]["velocity"] == 900
    words = "leave out one of the two"
    assert words in " ".join(curio("run", "--pixels", 32, "--setup", "pixels=16", directory=data, code=2).split())
