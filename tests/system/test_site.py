"""The site of the documentation is built without a warning, and has what is generated from the code."""

from pathlib import Path

from support import python

ROOT = Path(__file__).parents[2]


def test_the_site_is_built(tmp_path):
    python("-m", "sphinx", "-W", "--keep-going", "-q", "-d", tmp_path / "trees", ROOT / "docs", tmp_path / "site")
    pages = {path.relative_to(tmp_path / "site").as_posix() for path in tmp_path.rglob("*.html")}
    assert {"contents.html", "tutorial.html", "search.html", "reference/api.html"} <= pages
    commands = (tmp_path / "site" / "reference" / "generated" / "cli.html").read_text()
    agents = (tmp_path / "site" / "reference" / "generated" / "agents.html").read_text()
    assert "--points" in commands
    assert "paper-latent" in agents
    assert "reference/generated/curio_plans.curiosity.html" in pages
