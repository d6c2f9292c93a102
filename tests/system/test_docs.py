"""Every command and every Python example of the documentation, run in order, page by page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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
    environment = {**os.environ, "PATH": f"{bin_directory}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}
    for name in [name for name in environment if name.startswith("CURIO_")]:
        del environment[name]
    environment["CURIO_CHECKOUT"] = str(ROOT)
    for kind, code in blocks(page):
        command = {"bash": ["bash", "-euo", "pipefail", "-c", code], "python": [sys.executable, "-c", code]}[kind]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{code}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


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
