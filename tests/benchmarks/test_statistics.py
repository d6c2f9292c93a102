import numpy as np
import pytest


@pytest.fixture
def table(pd, statistics):
    """Makes curves of two points each; the last is `losses`, a number for each seed."""

    def table(**losses):
        common = {"sample": "s", "budget": 2, "regressor": statistics.OWN, "cpu_s": 1.0}
        rows = [
            {**common, "strategy": strategy, "seed": seed, "points": points,
             "loss": loss + (2 - points) * rise, "nmse": loss / 10, "worst": loss / 5}
            for strategy, (numbers, rise) in losses.items()
            for seed, loss in enumerate(numbers)
            for points in (1, 2)
        ]  # fmt: skip
        return pd.DataFrame(rows)

    return table


def test_final_and_best_loss_are_told_apart(table, stats, statistics):
    (row,) = statistics.summarise(table(curious=([4.0, 6.0], -1))).to_dict("records")
    assert (row["seeds"], row["final"], row["best"]) == (2, 5.0, 4.0)
    half = stats.t.ppf(0.975, 1) * 1.0
    assert row["final_low"] == pytest.approx(5 - half)
    assert row["final_high"] == pytest.approx(5 + half)


def test_strategies_are_paired_by_seed(table, stats, statistics):
    losses = np.arange(10.0)
    tests = statistics.compare(table(random=(losses, 0), curious=(losses - 0.5 + 0.01 * losses, 0)), "random")
    row = tests.set_index("measure").loc["loss"]
    assert row["difference"] == pytest.approx(-0.455)
    assert row["low"] < -0.455 < row["high"] < 0
    assert row["p"] == pytest.approx(stats.wilcoxon(-0.5 + 0.01 * losses).pvalue)
    assert row["effect"] < -10
    assert set(tests["strategy"]) == {"curious"}


def test_one_pair_is_no_test(table, statistics):
    assert statistics.compare(table(random=([1.0], 0), curious=([2.0], 0)), "random").empty
    assert np.isnan(statistics.interval(np.array([1.0]))).all()


def test_numbers_are_read_with_their_intervals(table, statistics):
    texts = statistics.readable(statistics.summarise(table(curious=([4.0, 6.0], -1), once=([3.0], 0))))
    assert texts["final loss"].tolist() == ["5 (-7.71 … 17.7)", "3"]
