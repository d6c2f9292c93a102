"""A run that starts from prior runs, as a user types it; the agent comes from another package."""

import re

import pytest
from terminal import curio

AGENT = '''
from agents.base import BaseAgent
from agents.protocols import Suggestion


class Follower(BaseAgent):
    """Goes from pool index to pool index, after the last one of the prior runs."""

    learns_from_past = True

    def choose(self, n, context):
        after = sum(observation.index for past in self.past for observation in past.observations)
        free = self.available(context)
        return [Suggestion(int(free[after % len(free)]), "follow")]


def follower(*, seed: int = 0):
    return Follower({"agent": "follower", "seed": seed})
'''


@pytest.fixture
def follower(tmp_path, monkeypatch):
    """An installed agent that learns from prior runs."""
    (tmp_path / "follower.py").write_text(AGENT)
    installed = tmp_path / "follower-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: follower\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[curio.agents]\nfollower = follower:follower\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "follower"


def test_yesterday_is_learned_from_and_replayed(follower, data):
    common = ["--points", "6", "--pixels", "32", "--no-figure"]
    curio("run", "--agent", "random", *common, directory=data)
    (yesterday,) = [path.name for path in (data / "journal").iterdir()]
    assert "'random' does not learn from prior runs" in curio(
        "run", "--agent", "random", *common, "--learn-from", "latest", directory=data, code=2
    )
    steps = curio("run", "--agent", follower, *common, "--learn-from", yesterday[:6], "--dry-run", directory=data)
    assert steps.count("spectrum of") == 6
    output = curio("run", "--agent", follower, *common, "--learn-from", "latest", "--seed", "1", directory=data)
    assert re.search(rf"learned from +{yesterday[:8]} \(6 spectra\)", output)
    assert "6/6 decisions identical" in curio("replay", directory=data)
    assert "without the prior runs" in curio("replay", "--agent", "random", directory=data)
    assert "6 in 1 prior run(s)" in curio("explain", "latest", "2", directory=data)
