"""Figures of merit of spectra with known answers."""

import numpy as np
import pytest

from agents.hysteresis import loop, triangle
from agents.merits import MERITS, OF_LOOPS, merit
from agents.protocols import Observation

BIAS = 8.0 * triangle(64, 1.0, 0.75)
#           offset slope amplitude imprint coercive width start
LOOP = loop(BIAS, np.array([[0.3, 0.0, 2.0, 0.5, 3.0, 0.4, -1.0]]))[0]


def observed(spectrum, axis=BIAS):
    return Observation(0, np.zeros(2), np.zeros(2), np.asarray(spectrum, dtype=np.float64), 0.0, axis)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("height", 4.0), ("maximum", 2.3), ("minimum", -1.7), ("coercive", 3.0), ("imprint", 0.5), ("area", 2 * 3 * 4.0)],
)
def test_they_find_what_a_loop_was_made_of(name, wanted):
    assert merit(name, observed(LOOP)) == pytest.approx(wanted, rel=0.05, abs=0.05)


def test_most_of_them_need_no_axis_and_those_of_loops_say_what_they_need():
    for name in MERITS:
        if name in OF_LOOPS:
            for axis in (None, np.linspace(0, 1, 64)):
                with pytest.raises(ValueError, match=f"a bias that goes up and down for '{name}'; choose height, mean"):
                    merit(name, observed(LOOP, axis))
        else:
            assert merit(name, observed(LOOP, None)) == merit(name, observed(LOOP))
    with pytest.raises(ValueError, match="no figure of merit 'gap'; known are height, mean"):
        merit("gap", observed(LOOP))
