"""Runs stored by version 0.1 are still listed, shown, explained, exported and replayed."""

import json
import tarfile

import h5py
import numpy as np
import pytest
from support import events
from terminal import curio

from curio_plans.store.storage import Storage
from curio_plans.study.replay import verify

RUNS = {"c993bcaf": ("curio", 30, 50), "5dfbe628": ("paper-latent", 24, 538), "c44c34c1": ("curio", 20, 30)}
"""For each run its agent, the number of its points, and the 15th candidate that it chose."""


@pytest.fixture(scope="module")
def data(samples, tmp_path_factory):
    """A data directory with three runs: on the twin, on a measured sample, on a twin that drifts."""
    archive = samples / "runs-0.1.tar.gz"
    if not archive.is_file():
        pytest.skip(f"{archive.name}, the runs stored by version 0.1, is not in the directory of the measured samples")
    directory = tmp_path_factory.mktemp("old")
    with tarfile.open(archive) as tar:
        tar.extractall(directory, filter="data")
    return directory / "oldruns"


def test_they_are_listed(data):
    rows = [line.split() for line in curio("runs", directory=data).splitlines()[1:]]
    listed = {row[0]: row[-4:] for row in rows}
    assert listed == {uid: ["curiosity", agent, str(points), "success"] for uid, (agent, points, _) in RUNS.items()}


@pytest.mark.parametrize("uid", RUNS)
def test_they_are_shown_and_explained(uid, data, tmp_path):
    agent, points, candidate = RUNS[uid]
    shown = curio("show", uid, "--output", tmp_path / "run.png", directory=data)
    assert f"{points} measured of {points} planned" in shown
    assert f"{agent}, seed=" in shown
    assert (tmp_path / "run.png").stat().st_size > 10_000
    explained = curio("explain", uid, "15", "--output", tmp_path / "point.png", directory=data)
    assert f"15 of {points}: candidate {candidate} at" in explained
    assert (tmp_path / "point.png").stat().st_size > 10_000


@pytest.mark.parametrize("uid", RUNS)
def test_they_are_exported(uid, data, tmp_path):
    curio("export", uid, "--to", tmp_path / "run.nxs", directory=data)
    with Storage.local(data, writable=False) as storage, h5py.File(tmp_path / "run.nxs") as file:
        documents = storage.documents(uid)
        assert json.loads(file["entry/documents/start"].asstr()[()])["uid"] == documents[0][1]["uid"]
        for name in file["entry/streams"]:
            found = events(documents, name)
            for key in found[0]["data"]:
                stored = file["entry/streams"][name][key]
                values = stored.asstr()[()] if stored.dtype.kind == "O" else stored[()]
                np.testing.assert_array_equal(values, [event["data"][key] for event in found])


@pytest.mark.parametrize("uid", RUNS)
def test_they_are_replayed_to_the_same_decisions(uid, data):
    """Bit for bit on the kind of machine that measured them; another rounds differently, and training amplifies it."""
    from agents.registry import build

    answers = []

    def noting(config):
        agent = build(config)
        assert agent.config.items() >= config.items(), "each stored option has its stored value"
        suggest = agent.suggest

        def note(n=1, context=None):
            answers.extend(suggestions := suggest(n, context))
            return suggestions

        agent.suggest = note
        return agent

    with Storage.local(data, writable=False) as storage:
        documents = storage.lineage(uid)
    verdict = verify(documents, noting)
    assert verdict.initial + verdict.chosen == len(answers) == RUNS[uid][1]
    if verdict.identical:
        return
    decided = [event["data"] for event in events(documents, "agent")]
    assert [answer.phase for answer in answers] == [data["agent_phase"] for data in decided]
    same = np.array([answer.index == data["agent_candidate"] for answer, data in zip(answers, decided, strict=True)])
    scores = [data["agent_score"] for data in decided]
    if RUNS[uid][0] == "curio":
        assert "0.1.0" in str(verdict)  # its model is another one since version 0.2, and the replay says so
    else:
        assert same[verdict.initial :].mean() > 0.5
        np.testing.assert_allclose([answer.score for answer in answers], scores, rtol=0.2)
