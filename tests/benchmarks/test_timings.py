"""The benchmarks that time things: that they run, not how fast."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["responsiveness.py", "--quick"], "gaps between ticks"),
        (["storing.py", "--quick"], "ms"),
        (["overhead.py", "--quick"], "list_scan"),
        (["devices.py", "--quick"], "longest gap"),
        (["drift.py", "--quick"], "corrected every 1 min: mean error"),
        (["startup.py", "--quick"], "curio runs"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_timing_benchmark_runs(command, words, tmp_path):
    script, *options = command
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / script, *options],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert words in done.stdout
