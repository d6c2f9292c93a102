import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmarks import latency, paper, strategies
from benchmarks.study import PARTS

LARGEST = 100_000
"""Bytes of an image that is committed."""


def invoke(module, *arguments):
    done = CliRunner().invoke(module.app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_strategies_compares_agents_on_another_persons_sample(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(14, 15)).cumsum(axis=0)
    np.savez(tmp_path / "theirs.npz", image=image, spectra=image[..., None] * np.linspace(-1, 1, 6))
    where = ("--cache", tmp_path / "jobs", "--output", tmp_path / "out")
    what = ("--sample", tmp_path / "theirs.npz", "--agent", "paper-latent:filters=2,initial=6,autoencoder_epochs=2")
    told = invoke(strategies, *what, "--agent", "grid", "--points", 8, "--window", 5, "--seeds", 2, *where)
    assert "paired differences to paper-latent" in told
    curves = pd.read_parquet(tmp_path / "out" / "curves.parquet")
    assert set(curves["strategy"]) == {what[3], "grid", "random"}
    assert set(curves["sample"]) == {"theirs"}
    own = curves[curves["regressor"] == "own model"]
    assert own.groupby("seed")["points"].apply(list).tolist() == [[6, 7, 8]] * 2
    tests = pd.read_csv(tmp_path / "out" / "tests.csv")
    assert set(tests["strategy"]) == {"random"}  # the grid has no seed, so nothing to pair
    assert (tmp_path / "out" / "curves.png").stat().st_size > 10_000


def test_a_wrong_agent_or_option_is_said_in_one_line():
    done = CliRunner().invoke(strategies.app, ["--agent", "nobody", "--quick"])
    assert done.exit_code == 2
    assert "there is no agent 'nobody'" in done.output.replace("\n", " ")


def test_the_page_of_the_paper_has_every_part_with_figures_and_verdicts(tmp_path):
    invoke(paper, "--quick", "--cache", tmp_path / "jobs", "--output", tmp_path)
    page = (tmp_path / "benchmarks.md").read_text()
    for name, part in PARTS.items():
        assert f"## {part.title}" in page
        assert f"--part {name}" in page
    assert "| mean spectrum of all places |" in page
    assert "paper-latent against random points, 2 seeds: final loss not told apart" in page
    assert max(len(line) for line in page.splitlines() if line[:1].isalpha()) <= 120
    images = sorted((tmp_path / "images" / "benchmarks").glob("*.png"))
    assert len(images) == sum(len(part.draw) for part in PARTS.values())
    for path in images:
        assert f"(images/benchmarks/{path.name})" in page
        assert path.stat().st_size < LARGEST
        assert np.asarray(Image.open(path).convert("L")).std() > 5


def test_only_what_is_finished_is_on_the_page(tmp_path):
    where = ("--cache", tmp_path / "jobs", "--output", tmp_path)
    invoke(paper, "--quick", "--part", "samplers", *where)
    page = (tmp_path / "benchmarks.md").read_text()
    assert PARTS["samplers"].title in page
    assert PARTS["ensemble"].title not in page
    invoke(paper, "--quick", "--minutes", 0, *where)
    assert (tmp_path / "benchmarks.md").read_text() == page


def test_latency_times_decisions_and_keeps_them(tmp_path):
    arguments = ("--agent", "random", "--agent", "grid", "--pool", 64, "--pool", 144, "--observations", 9,
                 "--observations", 20, "--cache", tmp_path / "jobs", "--output", tmp_path)  # fmt: skip
    invoke(latency, *arguments)
    table = pd.read_csv(tmp_path / "latency.csv")
    assert table[["agent", "pool", "observations"]].to_numpy().tolist() == [
        [agent, *cell] for agent in ("random", "grid") for cell in ([64, 9], [64, 20], [144, 9])
    ]
    assert (table["decision"] > 0).all()
    invoke(latency, *arguments)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "latency.csv"), table)
    with pytest.raises(AssertionError, match="a pool is a square"):
        invoke(latency, "--pool", 50, "--observations", 9)
