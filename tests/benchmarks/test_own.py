import re

import numpy as np
import pytest
from pages import assert_drawn_and_small
from typer.testing import CliRunner

TINY = "twin:pixels=22,steps=16"


def test_the_page_has_every_part_and_keeps_what_stands_above(tmp_path, own, page):
    page.write(tmp_path, above="# Benchmarks\n\nof the paper")
    done = CliRunner().invoke(own.app, ["--quick", "--cache", str(tmp_path / "jobs"), "--output", str(tmp_path)])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "benchmarks.md").read_text()
    assert text.startswith("# Benchmarks\n\nof the paper\n")
    for name, part in own.PARTS.items():
        assert f"\n## {part.title}\n" in text
        assert f"--part {name}\n" in text
    assert not re.search(r"\bnan\b", text)
    assert max(len(line) for line in text.splitlines() if line[:1].isalpha()) <= 120
    images = sorted((tmp_path / "images" / "benchmarks").glob("own-*.png"))
    assert [image.name for image in images] == ["own-curves.png", "own-honesty.png"]
    for image in images:
        assert f"(images/benchmarks/{image.name})" in text
        assert_drawn_and_small(image)


def test_each_side_of_the_page_is_replaced_alone(tmp_path, page):
    page.write(tmp_path, above="first")
    page.write(tmp_path, below="second")
    page.write(tmp_path, above="third\n")
    assert (tmp_path / "benchmarks.md").read_text() == f"third\n\n{page.BETWEEN}\n\nsecond\n"


def test_as_many_spectra_as_asked_are_bad_and_the_truth_stays(bad, runner):
    job = bad.BadJob(TINY, 9, 5, runner.parse_agent("curio", 3), share=0.3)
    clean, poor = runner.Job.problem(job), job.problem()
    changed = (poor.spectra != clean.spectra).any(axis=1)
    assert changed.mean() == pytest.approx(0.3, abs=0.01)
    np.testing.assert_array_equal(poor.truth, clean.truth)
    assert job.name != runner.Job(TINY, 9, 5, job.agent).name
    sines = np.sin(np.linspace(0, 6, 40)) * np.ones((90, 1))
    spoiled = bad.spoil(sines, 1.0, np.random.default_rng(0))
    off = np.abs(spoiled - sines) > 1.5 * np.ptp(sines[0])
    spiked, flat = off.any(axis=1), spoiled.std(axis=1) < 0.1
    assert spiked.sum() == 30
    assert flat.sum() == 30
    assert off[spiked].sum(axis=1).max() <= 5


def test_the_right_half_is_never_measured(halves, runner):
    outcome = halves.HalfJob(TINY, 9, 8, runner.parse_agent("curio", 0, 4)).outcome()
    columns = outcome["chosen"] % 14
    assert columns.max() < 7
    assert 0 < outcome["left"] < 2
    assert 0 < outcome["right"] < 2


def test_an_earlier_run_was_on_an_area_that_shares_no_pixel(past):
    left, right = past.area(TINY, 9, "left"), past.area(TINY, 9, "right")
    pixel = np.ptp(left.pool.positions[:2, 0])
    gap = right.pool.positions[:, 0].min() - left.pool.positions[:, 0].max()
    assert gap == pytest.approx(9 * pixel)
    config = '{"agent": "random", "seed": 0}'
    true, shuffled = (past.prior(TINY, 9, 10, config, shuffled=shuffled) for shuffled in (False, True))
    for observation in true.observations:
        np.testing.assert_array_equal(observation.spectrum, left.spectra[observation.index])
    assert [o.index for o in true.observations] == [o.index for o in shuffled.observations]
    spectra = [sorted(o.spectrum.sum() for o in run.observations) for run in (true, shuffled)]
    assert spectra[0] == spectra[1]
    assert any((o.spectrum != left.spectra[o.index]).any() for o in shuffled.observations)


def test_a_ratio_is_geometric_over_samples_and_paired_over_seeds(own_study):
    ours, theirs = [np.array([1.0, 2.0]), np.array([4.0, 6.0])], [np.array([2.0, 4.0]), np.array([1.0, 1.5])]
    assert own_study.geometric(zip(ours, theirs, strict=True)) == pytest.approx(
        (np.sqrt(0.5 * 4), np.sqrt(2), np.sqrt(2))
    )
    assert np.isnan(own_study.geometric([(np.array([-1.0, 0.5]), np.array([1.0, 1.0]))])[0])
    assert np.isnan(own_study.geometric([])[0])
