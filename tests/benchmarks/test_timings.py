"""The benchmarks that time things: that they run, not how fast."""

from pathlib import Path

import pytest
from support import python

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


RUNS = {
    "responsiveness.py": ("--quick --pixels 24 --agent random", "gaps between ticks"),
    "storing.py": ("--points 5 --repeats 1 --pause 0", "journal and Tiled"),
    "nanonis.py": ("--quick", "Nanonis"),
    "overhead.py": ("--points 5 --repeat 1", "list_scan"),
    "devices.py": ("--quick", "longest gap"),
    "startup.py": ("--quick", "curio runs"),
    "drift.py": ("--points 20 --seeds 1 --every-minutes 1", "corrected every 1 min: mean error"),
}
"""For each script the options of a short run, and what it prints."""


@pytest.mark.parametrize("script", RUNS)
def test_a_timing_benchmark_runs(script, tmp_path):
    options, words = RUNS[script]
    assert words in python(BENCHMARKS / script, *options.split(), cwd=tmp_path)
