import lazy_loader
import numpy as np
import pytest

pd = lazy_loader.load("pandas")
stats = lazy_loader.load("scipy.stats", suppress_warning=True)
statistics = lazy_loader.load("benchmarks.statistics", suppress_warning=True)


def table(**losses):
    """Curves of two points each; the last is `losses`, a number for each seed."""
    rows = [
        {"sample": "s", "budget": 2, "strategy": strategy, "regressor": statistics.OWN, "seed": seed, "points": points,
         "loss": loss + (2 - points) * rise, "nmse": loss / 10, "worst": loss / 5, "cpu_s": 1.0}
        for strategy, (numbers, rise) in losses.items()
        for seed, loss in enumerate(numbers)
        for points in (1, 2)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_final_and_best_loss_are_told_apart():
    (row,) = statistics.summarise(table(curious=([4.0, 6.0], -1))).to_dict("records")
    assert (row["seeds"], row["final"], row["best"]) == (2, 5.0, 4.0)
    half = stats.t.ppf(0.975, 1) * 1.0
    assert row["final_low"] == pytest.approx(5 - half)
    assert row["final_high"] == pytest.approx(5 + half)


def test_strategies_are_paired_by_seed():
    losses = np.arange(10.0)
    tests = statistics.compare(table(random=(losses, 0), curious=(losses - 0.5 + 0.01 * losses, 0)), "random")
    row = tests.set_index("measure").loc["loss"]
    assert row["difference"] == pytest.approx(-0.455)
    assert row["low"] < -0.455 < row["high"] < 0
    assert row["p"] == pytest.approx(stats.wilcoxon(-0.5 + 0.01 * losses).pvalue)
    assert row["effect"] < -10
    assert set(tests["strategy"]) == {"curious"}


def test_one_pair_is_no_test():
    assert statistics.compare(table(random=([1.0], 0), curious=([2.0], 0)), "random").empty
    assert np.isnan(statistics.interval(np.array([1.0]))).all()


def test_numbers_are_read_with_their_intervals():
    texts = statistics.readable(statistics.summarise(table(curious=([4.0, 6.0], -1), once=([3.0], 0))))
    assert texts["final loss"].tolist() == ["5 (-7.71 … 17.7)", "3"]
