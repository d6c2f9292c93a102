"""The page docs/benchmarks.md: first the study of the paper, then that of the project's own agent."""

import textwrap
from pathlib import Path

import pandas as pd

NAME = "benchmarks.md"

BETWEEN = "<!-- Below: python -m benchmarks.own; above: python -m benchmarks.paper -->"
"""Each command replaces its side of this line and keeps the other."""


def write(directory: Path, *, above: str | None = None, below: str | None = None) -> Path:
    """Replace one side of the page in `directory` by a text in Markdown, keep the other, and return its path."""
    path = directory / NAME
    first, _, second = (path.read_text() if path.exists() else "").partition(BETWEEN)
    first = (first if above is None else above).strip()
    second = (second if below is None else below).strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join([first, *([BETWEEN, second] if second else [])]).lstrip() + "\n")
    return path


def wrap(text: str) -> str:
    """Return a paragraph in lines."""
    return textwrap.fill(text, 118, break_on_hyphens=False)


def markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown."""
    rows = [list(table.columns), ["---"] * len(table.columns), *table.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def picture(path: Path, directory: Path, caption: str) -> str:
    """Return a figure with its caption in Markdown."""
    return f"\n![{caption}]({path.relative_to(directory)})\n\n*{caption}*\n"
