"""Figures while a plan runs: in Qt's windows or not at all."""

import os
import sys
from importlib.util import find_spec

import pytest
from support import command

from curio_plans.session.plots import QT

CODE = """
import matplotlib
from curio_plans.session import open_plots
print(open_plots())
import matplotlib.pyplot
print(matplotlib.get_backend().lower())
"""


def opened(**more):
    cleared = ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")
    environment = {name: value for name, value in os.environ.items() if name not in cleared}
    said, backend = command(sys.executable, "-c", CODE, env=environment | more).splitlines()
    return said, backend


def test_without_a_display_there_are_none():
    assert opened() == ("no plots: there is no display", "agg")


@pytest.mark.skipif(any(find_spec(name) for name in QT), reason="a Qt binding is installed")
def test_tk_is_never_taken_by_itself():
    assert opened(DISPLAY=":1") == ("no plots: they need Qt; pip install 'curio-plans[qt]'", "agg")


def test_another_backend_that_was_chosen_is_told():
    said, backend = opened(MPLBACKEND="svg")
    assert backend == "svg"
    assert said == "no plots: matplotlib draws with svg; windows that open while a plan runs need MPLBACKEND=QtAgg"
