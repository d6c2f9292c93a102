"""The documentation as a site: ``make docs``."""

import inspect
import subprocess
import sys
from importlib.metadata import entry_points
from importlib.metadata import version as installed
from pathlib import Path

HERE = Path(__file__).parent
GENERATED = HERE / "reference" / "generated"
COMMANDS = [sys.executable, "-m", "typer", "curio_plans.cli", "utils", "docs", "--name", "curio", "--title", "Commands"]

project = "curio"
author = "The curio developers"
version = release = installed("curio-plans")
root_doc = "contents"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
exclude_patterns = ["_build"]
nitpicky = False

nb_execution_mode = "off"  # a test runs the notebooks; their outputs are stored
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]
suppress_warnings = ["myst.xref_missing"]  # of files outside docs, such as the README; a test follows every link

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "curio"
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": True,
    "show_toc_level": 2,
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": [],
}


def agents_page() -> str:
    """Return the agents and their options, as ``curio agents`` tells them."""
    from agents.registry import GROUP, describe_options

    lines = ["# Agents and their options", ""]
    for agent in sorted(entry_points(group=GROUP), key=lambda agent: agent.name):
        lines += [f"## {agent.name}", "", inspect.cleandoc(agent.load().__doc__ or ""), ""]
        if found := describe_options(agent.name):
            lines += ["| option | default | what it does |", "|---|---|---|"]
            lines += [f"| `{name}` | `{option.default}` | {option.help} |" for name, option in found.items()]
        lines.append("")
    return "\n".join(lines)


GENERATED.mkdir(exist_ok=True)
(GENERATED / "agents.md").write_text(agents_page())
cli = subprocess.run(COMMANDS, capture_output=True, text=True, check=True)  # noqa: S603
(GENERATED / "cli.md").write_text(cli.stdout)
for name in ("CHANGELOG", "CONTRIBUTING"):
    (GENERATED / f"{name.lower()}.md").write_text((HERE.parent / f"{name}.md").read_text())
