"""Every command and every Python example of the documentation, run in order, page by page."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from support import free_port

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").rglob("*.md") if page.parent.name != "generated")]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)
NOT_RUN = {"text"}
"""What needs an instrument, a person or a fresh computer is a block of text."""


def blocks(page):
    return [(kind, code) for kind, code in BLOCK.findall(page.read_text()) if kind not in NOT_RUN]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_the_examples_of_a_page_run(page, empty, warm, tmp_path):
    for directory in set(re.findall(r"^curio .*--data (\S+)", page.read_text(), flags=re.MULTILINE)):
        shutil.copytree(empty, tmp_path / directory)  # the pages without --data show that one is made
    here = str(Path(sys.executable).parent)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CURIO_")},
        "PATH": os.pathsep.join([str(warm), here, os.environ["PATH"]]),
        "CURIO_CHECKOUT": str(ROOT),
        "EPICS_CA_SERVER_PORT": str(free_port(socket.SOCK_DGRAM)),
    }
    sessions = []
    try:
        for kind, code in blocks(page):
            command = {"bash": ["bash", "-euo", "pipefail", "-c", code], "python": ["python-c", code]}[kind]
            command[0] = shutil.which(command[0], path=environment["PATH"])
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


def slug(heading):
    """Return the anchor that GitHub gives to a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)  # of a link, its text
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def anchors(page):
    prose = FENCED.sub("", page.read_text())
    names = [slug(heading) for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose, flags=re.MULTILINE)]
    return {f"{name}-{names[:i].count(name)}" if name in names[:i] else name for i, name in enumerate(names)}


def broken_links(page):
    """Return the relative links of a page that lead to no file, or to no heading in it."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = page.parent / target if target else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    assert broken_links(page) == []


def test_broken_links_are_found(tmp_path):
    other = tmp_path / "other.md"
    other.write_text("# Résumé: `a_b`, [c](d)\n\n## Twice\n\n## Twice\n\n```text\n# no heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[1](other.md) [2](other.md#résumé-a_b-c) [3](other.md#twice-1) [4](#here) [5](https://a.b/c#d)\n"
        "[6](gone.md) [7](other.md#twice-2) [8](other.md#no-heading) [9](#there)\n```text\n[10](not/a/link)\n```\n"
    )
    assert broken_links(page) == ["gone.md", "other.md#twice-2", "other.md#no-heading", "#there"]
