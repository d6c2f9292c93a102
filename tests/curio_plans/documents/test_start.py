import os
import shutil
import subprocess

import pytest

from curio_plans.documents.history import History
from curio_plans.documents.start import FORMAT, FormatError, git_state
from curio_plans.plans import image
from curio_plans.run.metadata import run_metadata


@pytest.mark.parametrize("key", ["git", "curio_format", "versions"])
def test_what_a_replay_relies_on_cannot_be_replaced(key, afm):
    with pytest.raises(ValueError, match=f"md must not set {key}"):
        run_metadata(afm, "image", {}, {key: 2})


@pytest.fixture
def git(tmp_path, monkeypatch):
    """Runs git in a new checkout; no setting and no hook of who runs the tests has a say there."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")

    def git(*arguments):
        command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *arguments]
        return subprocess.run(command, cwd=tmp_path / "checkout", capture_output=True, text=True, check=True).stdout

    return git


def test_the_state_of_a_checkout(tmp_path, git):
    assert git_state(tmp_path) is None
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    git("init", "--quiet")
    (checkout / "file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "--message", "one")
    commit = git("rev-parse", "HEAD").strip()
    assert git_state(checkout) == {"commit": commit, "dirty": False}
    (checkout / "file").write_text("two")
    git_state.cache_clear()
    assert git_state(checkout) == {"commit": commit, "dirty": True}


def test_without_git_nothing_is_claimed(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    assert git_state(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    git_state.cache_clear()
    assert git_state(tmp_path) is None


def test_a_run_of_a_later_version_is_refused(afm, engine, documents):
    engine(image(afm))
    later = [(name, {**doc, "curio_format": FORMAT + 1} if name == "start" else doc) for name, doc in documents]
    with pytest.raises(FormatError, match=rf"format {FORMAT + 1}, .*formats up to {FORMAT}; install a later version"):
        History(later)
    del later[0][1]["curio_format"]
    assert History(later).frame is not None, "runs of before there was a format"
