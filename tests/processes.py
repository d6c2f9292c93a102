"""Python and ``curio`` in processes that need not load their libraries: see tests/warm.py."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WARM = str(Path(__file__).with_name("warm.py"))
SOCKET = "WARM_PYTHON"
"""The environment variable of the socket's path; workers of one test run inherit it, and share the process."""
FIRST = SOCKET not in os.environ
"""Whether the process is to be started here."""
if FIRST:
    os.environ[SOCKET] = str(Path(tempfile.mkdtemp(prefix="warm-")) / "socket")
PYTHON = [sys.executable, "-I", "-S", WARM, os.environ[SOCKET]]
"""What comes before the arguments of Python in such a process."""
CURIO = [*PYTHON, "-m", "curio_plans.cli"]
"""The command ``curio`` in such a process."""


def start():
    """Start the process from which others are forked."""
    return subprocess.Popen([sys.executable, WARM, "serve", os.environ[SOCKET]], stdin=subprocess.PIPE)


def end(process):
    """End it, with this test run."""
    process.communicate()
    shutil.rmtree(Path(os.environ[SOCKET]).parent)
