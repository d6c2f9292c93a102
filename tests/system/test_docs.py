"""Every command and every Python example of the documentation, run in order, page by page."""

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from support import free_port

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
NOT_RUN = {"text"}
"""What needs an instrument, a person or a fresh computer is a block of text."""


def blocks(page):
    return [(kind, code) for kind, code in BLOCK.findall(page.read_text()) if kind not in NOT_RUN]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_the_examples_of_a_page_run(page, tmp_path):
    bin_directory = str(Path(sys.executable).parent)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CURIO_")},
        "PATH": f"{bin_directory}{os.pathsep}{os.environ['PATH']}",
        "CURIO_CHECKOUT": str(ROOT),
        "EPICS_CA_SERVER_PORT": str(free_port(socket.SOCK_DGRAM)),
    }
    sessions = []
    try:
        for kind, code in blocks(page):
            command = {"bash": ["bash", "-euo", "pipefail", "-c", code], "python": [sys.executable, "-c", code]}[kind]
            with subprocess.Popen(
                command,
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            ) as process:
                sessions.append(process.pid)
                output, errors = process.communicate()
            assert process.returncode == 0, f"{code}\n{output[-3000:]}\n{errors[-3000:]}"
    finally:
        for session in sessions:  # what a page left running, because it failed
            with suppress(ProcessLookupError):
                os.killpg(session, signal.SIGKILL)


def targets(page):
    return [
        target.split("#")[0]
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
        if not target.startswith(("http", "#", "mailto:"))
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    missing = [target for target in targets(page) if not (page.parent / target).exists()]
    assert not missing
