"""Whatever is chosen of a file goes through a run, its resumption, its replay, its exports and another agent.

The choices: channels, a part of complex numbers, a further axis, a part of the spectral axis, a background, a scale,
bins, a window in nm, patches over the edge, places without a grid.
"""

import copy
import json
from contextlib import closing

import numpy as np
import pytest
from support import measure, microscope

from curio_plans.cli.selection import again
from curio_plans.documents.history import History
from curio_plans.export import export
from curio_plans.plans import curiosity
from curio_plans.plans import resume as resume_plan
from curio_plans.study.counterfactual import counterfactual
from curio_plans.study.replay import verify
from ophyd_devices.readers import read
from ophyd_devices.twin import recorded

STEPS, POINTS = 24, 9


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """An image of 2 channels over a smaller grid of complex spectra in 3 cycles; its axis turns, two are missing."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, 32, 40)).cumsum(axis=1)
    sweep = np.concatenate([np.linspace(-1, 1, STEPS // 2), np.linspace(1, -1, STEPS // 2)])
    spectra = image[0, ::2, ::2, None, None] * np.exp(sweep) * np.exp(0.3j * np.arange(1, 4))[:, None]
    spectra = spectra + 0.1 * rng.normal(size=spectra.shape)
    spectra[0, 0], spectra[4, 7] = np.nan, np.nan
    path = tmp_path_factory.mktemp("files") / "map.npz"
    np.savez(path, image=image, spectra=spectra, axis=sweep, axis_name="bias", axis_unit="V", extent=[4.0, 3.2],
             extent_unit="µm", channels=["height", "phase"], quantity="response", spectrum_unit="pm")  # fmt: skip
    return path


COMPLEX = "real part of response + imaginary part of response"
CASES = {
    "channel, part, cycle": ({"image_channel": "phase", "part": "abs", "select": {"dimension_1": 2}}, {"window": 5}),
    "log over the edge": ({"part": "abs", "preprocess": ("log",)}, {"window_nm": 700.0, "edge": "reflect"}),
    "one sweep, binned": ({"part": "phase", "preprocess": ("sweep=2", "bin=3")}, {"window": 7}),
    "range, background, asinh": ({"preprocess": ("range=-0.5,0.5", "background=linear", "asinh=0.1")}, {"window": 5}),
    "two channels": ({"spectrum_channel": COMPLEX, "preprocess": ("bin=2",)}, {"window": 5, "stride": 2}),
    "ranks": ({"spectrum_channel": "imaginary part of response", "preprocess": ("rank",)}, {"window": 5}),
}


@pytest.mark.parametrize(("chosen", "options"), CASES.values(), ids=CASES.keys())
def test_a_choice_goes_everywhere(path, tmp_path, wanderer, chosen, options):
    def scope(instrument):
        return closing(microscope(instrument))

    with scope(recorded(path, **chosen)) as afm:
        whole = measure(curiosity, {"seed": 4, "initial": 2}, POINTS, build=wanderer, afm=afm, map_every=3, **options)
    history = History(whole)
    pool = history.pool
    assert len(pool) > 50
    assert np.isfinite([one.spectrum for one in history.observations]).all()

    # Only the documents and the file are needed to go on.
    described = json.loads(json.dumps(whole[0][1]["sample"]))
    cut = next(number for number, (name, doc) in enumerate(whole) if name == "event" and doc["seq_num"] == 5)
    ended = copy.deepcopy(whole[:cut])
    ended[0][1]["sample"]["sample"]["notes"] = ["in other words"]
    instrument = again(described, {}, None, sample=path, axis=None, axis_unit=None)
    with closing(instrument.connect()) as afm:
        rest = measure(resume_plan, "the run", build=wanderer, stored=lambda uid: ended, afm=afm)
    assert [one.index for one in History(rest).observations] == [
        one.index for one in history.observations[-len(History(rest).observations) :]
    ]
    assert verify(whole, wanderer).identical

    about, expected = history.spectroscopy, np.stack([one.spectrum for one in history.observations])
    for suffix in (".nxs", ".hf5", ".npz"):
        found = read(export(whole, tmp_path / f"run{suffix}"))
        (spectra,) = [one for one in found.spectra if one.name == about.quantity][:1]
        np.testing.assert_allclose(spectra.axes[-1].values, about.axis)
        order = [int(np.hypot(*(spectra.positions - place).T).argmin()) for place in pool.positions[_measured(history)]]
        np.testing.assert_allclose(spectra.values[order], expected, rtol=1e-6)
    other = counterfactual(whole, wanderer, {"seed": 9}, looks=2)
    assert len(other.other.candidates) == POINTS


def _measured(history):
    return [one.index for one in history.observations]
