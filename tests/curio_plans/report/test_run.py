"""A stored run in a notebook: labelled arrays, a figure, a table."""

import datetime
import re

import numpy as np
import pytest
from support import measure

from curio_plans import Run
from curio_plans.plans import curiosity, image
from curio_plans.study import AnalysisError


@pytest.fixture(scope="module")
def documents(wanderer):
    return measure(curiosity, {"seed": 1, "initial": 2}, 5, build=wanderer, window=5)


def test_points_have_units_bias_places_and_real_times(documents):
    run = Run(documents)
    points = run.points
    assert dict(points.sizes) == {"point": 5, "step": 32}
    assert (points.bias.dims, points.bias.units, float(points.bias.max())) == (("step",), "V", 8.0)
    assert points.spectrum.units == "a.u."
    assert (points.x.units, points.y.units, points.instrument_time.units) == ("nm", "nm", "s")
    for number, observation in enumerate(run.history.observations):
        here = points.isel(point=number)
        np.testing.assert_array_equal(here.spectrum, observation.spectrum)
        assert (float(here.x), float(here.y)) == pytest.approx(observation.position)
        assert int(here.candidate) == observation.index
    assert list(points.phase.values[:2]) == ["initial", "initial"]
    recorded = [doc["time"] for name, doc in documents if name == "event" and "afm_spectrometer_height" in doc["data"]]
    there = [datetime.datetime.fromtimestamp(time, datetime.UTC).replace(tzinfo=None) for time in recorded]
    assert abs(points.time.values - np.array(there, "datetime64[us]")).max() < np.timedelta64(10, "us")
    assert points.attrs["agent"] == "wanderer"


def test_an_image_has_places(documents):
    frame = Run(documents).image
    assert set(frame.data_vars) >= {"polarisation", "topography"}
    assert (frame.topography.dims, frame.topography.units) == (("y", "x"), "nm")
    assert float(frame.x[0]) == pytest.approx(2000 / 64)
    assert frame.x.units == "nm"


def test_a_notebook_shows_it_as_a_table_with_the_figure(documents):
    shown = Run(documents)._repr_html_()
    assert "5 measured of 5 planned" in shown
    assert re.search(r'<img [^>]*src="data:image/png;base64,iVBOR', shown)
    assert "5 measured of 5 planned" in repr(Run(documents))


def test_what_a_run_lacks_is_told(afm):
    run = Run(measure(image, afm=afm))
    with pytest.raises(AnalysisError, match="this run has no spectrum"):
        _ = run.points
    with pytest.raises(AnalysisError, match="this run has 0 images"):
        _ = Run(measure(image, afm=afm)[:1]).image
    assert "<table>" in run._repr_html_()
