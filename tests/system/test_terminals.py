"""The commands in real processes without a terminal, in character sets and surroundings that users meet."""

import os
import subprocess
import sys

import pytest

RUN = ["run", "--agent", "random", "--points", "2", "--pixels", "32", "--no-figure"]
FEW = [["show", "nowhere"], RUN, ["runs"], ["show", "--no-figure"]]
READING = [["replay"], ["explain", "latest", "1"], ["report", "--only", "acquisitions"], ["verify", "--all"],
           ["export", "latest", "--to", "run.nxs"]]  # fmt: skip
ALL = [*FEW, *READING, ["recover"], ["agents"], ["profile", "session"], ["--help"],
       ["run", "--help"]]  # fmt: skip
CODE = """
import sys
from curio_plans.cli import app
for arguments in map(str.split, sys.argv[1:]):
    try:
        app(arguments)
    except SystemExit as end:
        print("exit code", end.code or 0, file=sys.stderr, flush=True)
"""
SURROUNDINGS = {
    "the locale C": (ALL, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    "a Windows code page, and a home that nobody can write to": (
        FEW,
        {"PYTHONIOENCODING": "cp1252", "HOME": "/proc/self"},
    ),
    "no home": (FEW, {"HOME": "/nonexistent", "PYTHONIOENCODING": "latin-1"}),
}


@pytest.mark.parametrize("where", SURROUNDINGS)
def test_each_command_prints_and_tells_its_outcome(where, tmp_path):
    commands, changed = SURROUNDINGS[where]
    surroundings = {name: text for name, text in os.environ.items() if name not in ("LANG", "LC_ALL", "TERM", "HOME")}
    done = subprocess.run(
        [sys.executable, "-c", CODE, *map(" ".join, commands)],
        capture_output=True, stdin=subprocess.DEVNULL, check=False, cwd=tmp_path,
        env={**surroundings, **changed, "COLUMNS": "80", "CURIO_DATA": str(tmp_path / "data")},
    )  # fmt: skip
    encoding = changed.get("PYTHONIOENCODING", "ascii")
    output, errors = done.stdout.decode(encoding), done.stderr.decode(encoding)
    assert "Traceback" not in output + errors, errors
    codes = [int(line.split()[-1]) for line in errors.splitlines() if line.startswith("exit code")]
    assert codes == [2] + [0] * (len(commands) - 1), errors
    assert "2 measured of 2 planned" in output
    assert max(len(line) for line in output.splitlines() if "/" not in line) <= 84, "substitutes may be longer"
