import lazy_loader
import pytest
from pages import assert_drawn_and_small
from support import write_sample
from typer.testing import CliRunner

pd = lazy_loader.load("pandas")
latency, paper, strategies, study = (
    lazy_loader.load(f"benchmarks.{name}", suppress_warning=True)
    for name in ("latency", "paper", "strategies", "study")
)


def invoke(module, *arguments):
    done = CliRunner().invoke(module.app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_strategies_compares_agents_on_another_persons_sample(tmp_path):
    sample = write_sample(tmp_path / "theirs.npz", (14, 15), steps=6)
    where = ("--cache", tmp_path / "jobs", "--output", tmp_path / "out")
    what = ("--sample", sample, "--agent", "paper-latent:filters=2,initial=6,autoencoder_epochs=2")
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


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page of the paper with its samplers alone, written again, and with everything; and its directory."""
    directory = tmp_path_factory.mktemp("paper")
    where = ("--quick", "--cache", directory / "jobs", "--output", directory)

    def page(*more):
        invoke(paper, *where, *more)
        return (directory / "benchmarks.md").read_text()

    return page("--part", "samplers"), page("--minutes", 0), page(), directory


def test_only_what_is_finished_is_on_the_page(pages):
    samplers, again, *_ = pages
    assert study.PARTS["samplers"].title in samplers
    assert study.PARTS["ensemble"].title not in samplers
    assert again == samplers


def test_the_page_of_the_paper_has_every_part_with_figures_and_verdicts(pages):
    *_, page, directory = pages
    for name, part in study.PARTS.items():
        assert f"## {part.title}" in page
        assert f"--part {name}" in page
    assert "| mean spectrum of all places |" in page
    assert "paper-latent against random points, 2 seeds: final loss not told apart" in page
    assert max(len(line) for line in page.splitlines() if line[:1].isalpha()) <= 120
    images = sorted((directory / "images" / "benchmarks").glob("*.png"))
    assert len(images) == sum(len(part.draw) for part in study.PARTS.values())
    for path in images:
        assert f"(images/benchmarks/{path.name})" in page
        assert_drawn_and_small(path)


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
