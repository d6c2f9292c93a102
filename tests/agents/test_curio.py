"""The agent curio: where it measures, what it learns, and what it says of its error."""

import dataclasses
import math

import numpy as np
import pytest

import agents.curio.candidates
from agents.pool import make_pool
from agents.protocols import Context, Exclusion, Observation, Past
from agents.registry import build
from ophyd_devices.spectrometer import triangle
from ophyd_devices.twin import Ferroelectric, sample_from


def observe(world, index, spectrum=None):
    pool, spectra = world
    place = pool.positions[index]
    return Observation(int(index), place, place, spectra[index] if spectrum is None else spectrum, 0.0)


def nmse(world, agent):
    """The error of predicted spectra where nothing was measured, relative to that of their mean."""
    spectra, left = world[1], np.ones(len(world[0]), dtype=bool)
    left[agent.measured] = False
    floor = ((spectra - spectra.mean(axis=0)) ** 2)[left].mean()
    return ((agent.report().prediction - spectra) ** 2)[left].mean() / floor


def film(seed, pixels=32, area=(0, 900, 0, 900)):
    """A pool of the twin's film, with a measured loop for each candidate."""
    twin = Ferroelectric(seed)
    frame = twin.frame(area, (pixels, pixels), np.random.default_rng([seed, 1]))[-1:]
    pool = make_pool(frame, area, window=7, stride=1)
    return pool, twin.spectra(pool.positions, triangle(8.0, 32, 1), np.random.default_rng([seed, 2]))[0]


@pytest.fixture(scope="module")
def surface():
    return film(0)


def test_it_begins_spread_out_checks_every_tenth_point_and_is_curious_in_between(surface, explore):
    agent, said = explore(surface, 40, {"agent": "curio"})
    phases = [one.phase for one in said]
    assert phases[:10] == ["initial"] * 10, "before there is a model, there is nothing to check"
    assert phases[19::10] == ["check"] * 3
    assert [phase for number, phase in enumerate(phases, start=1) if number > 10 and number % 10] == ["curious"] * 27
    kept = set(agent.numbers("checks").permutation(len(agent.pool))[: len(agent.pool) // 10].tolist())
    assert {one.index for one in said if one.phase == "check"} <= kept
    assert not {one.index for one in said if one.phase != "check"} & kept
    begun = surface[0].positions[[one.index for one in said[:10]]]
    apart = np.hypot(*(begun[:, None] - begun[None]).transpose(2, 0, 1))[np.triu_indices(10, 1)]
    assert apart.min() > 0.15 * np.ptp(surface[0].positions[:, 0]), "no two of the first are neighbours"


def test_checks_are_the_same_whatever_was_measured(surface, explore):
    _, said = explore(surface, 30, {"agent": "curio"})
    other = (surface[0], surface[1][::-1])
    _, otherwise = explore(other, 30, {"agent": "curio", "initial": 14})
    assert [one.index for one in said[19::10]] == [one.index for one in otherwise[19::10]]
    assert [one.index for one in said] != [one.index for one in otherwise]


def test_no_checks_are_made_where_none_are_wanted_and_more_where_more(surface, explore):
    for checks, expected in ((0, 0), (5, 2)):
        agent, said = explore(surface, 20, {"agent": "curio", "checks": checks})
        assert sum(one.phase == "check" for one in said) == agent.estimate().checks == expected


def test_of_equal_spectra_there_is_no_relative_error(surface, explore):
    equal = np.full_like(surface[1], 3.3)
    agent, _ = explore((surface[0], equal), 14, {"agent": "curio"})
    assert agent.estimate() is None


def test_it_estimates_its_error_once_it_has_a_model(surface, explore):
    agent = build({"agent": "curio"})
    agent.ingest(surface[0])
    for number in range(30):
        (suggestion,) = agent.suggest(1, Context(budget=30))
        agent.ingest(observe(surface, suggestion.index))
        known = agent.estimate()
        assert (known is None) == (number + 1 < 10)
        if known is not None:
            assert all(math.isfinite(value) for value in dataclasses.astuple(known))
            assert 0 < known.low <= known.error <= known.high
            assert 0 <= known.noise <= known.error
            assert 0 <= known.gain < known.error
            assert known.checks == (number + 1) // 10 - 1


def test_what_it_says_of_its_error_is_true():
    """In most runs; an interval of 90 % must hold in at least 6 of 8, each once in a thousand by chance."""
    held, ratios = 0, []
    for seed in range(8):
        world = film(seed, 24)
        agent = build({"agent": "curio", "seed": seed})
        agent.ingest(world[0])
        for _ in range(40):
            agent.ingest(observe(world, agent.suggest(1, Context(budget=40))[0].index))
        known, true = agent.estimate(), nmse(world, agent)
        held += known.low <= true <= known.high
        ratios.append(known.error / true)
    assert held >= 6, ratios
    assert 0.6 < np.median(ratios) < 1.6


def test_it_does_not_claim_to_know_the_error_where_one_spectrum_carries_the_variance(surface):
    pool, spectra = surface
    places = np.random.default_rng(1).permutation(len(pool))[:30]
    rare = spectra.copy()
    rare[places[20]] *= 300
    known = []
    for world in (surface, (pool, rare)):
        agent = build({"agent": "curio"})
        agent.ingest(pool, *(observe(world, index) for index in places))
        known.append(agent.estimate())
    assert known[0].high < 1 <= known[1].high


def test_the_maps_say_where_spectra_will_be_wrong_and_by_how_much(surface, explore):
    agent, _ = explore(surface, 60, {"agent": "curio"})
    report = agent.report(Context(budget=60))
    assert set(report.maps) == {"predicted_error", "error_low", "error_high", "reducible_error", "score"}
    left = np.ones(len(surface[0]), dtype=bool)
    left[agent.measured] = False
    errors = ((report.prediction - surface[1]) ** 2).mean(axis=1)[left]
    maps = {name: values[left] for name, values in report.maps.items()}
    assert (maps["error_low"] <= maps["predicted_error"]).all()
    assert (maps["predicted_error"] <= maps["error_high"]).all()
    assert (maps["reducible_error"] >= 0).all()
    assert 0.5 < maps["predicted_error"].mean() / errors.mean() < 2.0
    inside = np.mean((maps["error_low"] <= errors) & (errors <= maps["error_high"]))
    assert 0.75 < inside < 0.99


def test_it_learns_more_from_its_own_points_than_from_random_ones(surface, explore):
    chosen, drawn = [
        np.mean([nmse(surface, explore(surface, 40, {"agent": "curio", "choice": c, "seed": s})[0]) for s in range(3)])
        for c in ("reducible", "random")
    ]
    assert chosen < drawn < 1


def test_a_spectrum_that_contradicts_its_like_hardly_changes_the_map(surface):
    pool, spectra = surface
    places = np.random.default_rng(0).permutation(len(pool))[:60]
    spoiled = places[[8, 20, 33]]
    bad = spectra.copy()
    bad[spoiled] = -6 * spectra[spoiled] + 5 * np.ptp(spectra)
    found = {}
    for name, world, robust in (
        ("clean", surface, True),
        ("robust", (pool, bad), True),
        ("trusting", (pool, bad), False),
    ):
        agent = build({"agent": "curio", "robust": robust})
        agent.ingest(pool, *(observe(world, index) for index in places))
        left = np.setdiff1d(np.arange(len(pool)), places)
        found[name] = ((agent.report().prediction - spectra) ** 2)[left].mean(), agent
    (clean, _), (robust, agent), (trusting, _) = found.values()
    assert robust < 1.3 * clean
    assert robust < 0.5 * trusting
    inflation = np.array(agent.memory.inflation)
    assert (inflation[[8, 20, 33]] > 10).all()
    assert np.median(inflation) == 1
    assert (inflation >= 1).all()


@pytest.mark.parametrize(
    ("channels", "window", "steps", "stride"), [(1, 5, 12, 2), (4, 16, 300, 1), (1, 16, 1, 1), (4, 5, 12, 3)]
)
def test_it_takes_what_comes(channels, window, steps, stride, explore):
    numbers = np.random.default_rng(0)
    frame = numbers.normal(size=(channels, 26, 35)).cumsum(axis=2)
    pool = make_pool(frame, (0, 350, 100, 360), window=window, stride=stride)
    middle = pool.patches[:, 0, window // 2, window // 2].astype(np.float64)
    world = pool, np.tanh(middle / middle.std())[:, None] * np.cos(np.arange(steps)) + 0.05
    agent, said = explore(world, 34, {"agent": "curio", "initial": 6})
    assert len({one.index for one in said}) == 34
    report = agent.report(Context(budget=34))
    assert report.prediction.shape == (len(pool), steps)
    assert all(np.isfinite(values).all() for values in (report.prediction, *report.maps.values()))
    assert nmse(world, agent) < 0.9


@pytest.mark.parametrize("what", ["spectra", "image", "both", "one channel"])
def test_it_survives_what_is_the_same_everywhere(what, explore):
    numbers = np.random.default_rng(0)
    frame = numbers.normal(size=(2, 20, 20)).cumsum(axis=1)
    frame[[] if what == "spectra" else [1] if what == "one channel" else [0, 1]] = 3.0
    pool = make_pool(frame, (0, 200, 0, 200), window=5, stride=1)
    spectra = np.sin(pool.positions[:, :1] / 60) * np.ones(8) + 1.0
    if what in ("spectra", "both"):
        spectra[:] = 2.5
    agent, said = explore((pool, spectra), 30, {"agent": "curio"})
    assert len({one.index for one in said}) == 30
    known = agent.estimate()
    if what in ("spectra", "both"):
        np.testing.assert_array_equal(agent.report().prediction, spectra)
        assert known is None, "an error relative to no difference between spectra is 0/0"
        return
    assert nmse((pool, spectra), agent) < 0.1
    assert known.low <= known.error <= known.high
    assert all(math.isfinite(value) for value in dataclasses.astuple(known))


def test_of_a_large_pool_it_tracks_a_lattice(monkeypatch, explore):
    monkeypatch.setattr(agents.curio.candidates, "TRACKED", 64)
    frame = np.random.default_rng(0).normal(size=(1, 34, 24)).cumsum(axis=2)
    pool = make_pool(frame, (0, 240, 0, 340), window=5, stride=1)
    middle = pool.patches[:, 0, 2, 2].astype(np.float64)
    world = pool, middle[:, None] * np.linspace(-1, 1, 9)
    agent, said = explore(world, 80, {"agent": "curio"})
    lattice = {one.index for one in said if one.phase in ("initial", "curious")}
    assert len({one.index for one in said}) == 80, "more than there are in the lattice"
    rows, columns = np.divmod(np.array([one.index for one in said if np.isfinite(one.score)]), pool.grid[1])
    assert len({*np.diff(np.unique(rows))}) == len({*np.diff(np.unique(columns))}) == 1, "evenly"
    assert len(lattice) > 60
    report = agent.report()
    assert all(np.isfinite(values).all() for values in report.maps.values())
    assert nmse(world, agent) < 0.5
    assert agent.estimate().high > 0


def test_a_pool_that_needs_a_lattice_is_measured_at_its_true_size(explore):
    frame = np.random.default_rng(0).normal(size=(1, 78, 78)).cumsum(axis=1)
    pool = make_pool(frame, (0, 780, 0, 780), window=5, stride=1)
    assert len(pool) > agents.curio.candidates.TRACKED
    agent, said = explore((pool, pool.patches[:, 0, 2, 2:].astype(np.float64)), 8, {"agent": "curio", "initial": 5})
    assert len({one.index for one in said}) == 8
    assert agent.report().prediction.shape == (len(pool), 3)


def run_of(world, points, seed, agent="curio"):
    """What a prior run on a world measured."""
    decides = build({"agent": agent, "seed": seed})
    decides.ingest(world[0])
    for _ in range(points):
        decides.ingest(observe(world, decides.suggest(1, Context(budget=points))[0].index))
    return Past(f"run {seed}", world[0], tuple(decides.observations))


def learned(world, points, past=(), seed=0):
    agent = build({"agent": "curio", "seed": seed})
    agent.ingest(*past, world[0])
    for _ in range(points):
        agent.ingest(observe(world, agent.suggest(1, Context(budget=points))[0].index))
    return nmse(world, agent)


def test_another_area_of_the_sample_is_a_good_beginning_and_another_sample_does_no_harm():
    """On average over four films; on the other sample loops have nothing to do with what is seen."""
    errors = []
    for seed in range(4, 8):
        here, there, other = film(seed, 24), film(seed, 24, area=(1000, 1900, 1000, 1900)), film(seed + 20, 24)
        mixed = np.random.default_rng(seed).permutation(other[1])
        same, another = [run_of(there, 40, seed=1)], [run_of((other[0], mixed), 40, seed=1)]
        errors.append([learned(here, n, past) for n, past in ((10, same), (10, []), (20, another), (20, []))])
    helped, alone, unhelped, alone_later = np.mean(errors, axis=0)
    assert helped < 0.8 * alone
    assert unhelped < 1.15 * alone_later


def test_earlier_runs_give_a_model_before_the_first_point(surface):
    agent = build({"agent": "curio"})
    agent.ingest(run_of(surface, 30, seed=1), surface[0])
    assert agent.suggest(1)[0].phase == "curious"
    known = agent.estimate()
    assert 0 < known.low <= known.error <= known.high
    assert known.checks == 0, "none of this run"


def test_where_travel_costs_time_the_way_is_shorter(surface, explore):
    ways = []
    for travel in (0.0, 300.0):
        agent, _ = explore(surface, 40, {"agent": "curio", "travel": travel})
        ways.append(np.hypot(*np.diff(surface[0].positions[agent.measured], axis=0).T).sum())
    assert ways[1] < 0.7 * ways[0]


def test_where_travel_costs_time_several_places_come_in_the_order_of_a_short_way(surface, explore):
    agent, _ = explore(surface, 12, {"agent": "curio", "travel": 300.0})
    places = surface[0].positions[[agent.measured[-1], *(one.index for one in agent.suggest(6))]]
    for here, left in zip(places[:-1], (places[n:] for n in range(1, 7)), strict=True):
        assert np.hypot(*(left - here).T).argmin() == 0


def test_without_position_two_places_that_look_alike_are_predicted_alike(explore):
    frame = np.tile(np.random.default_rng(0).normal(size=(1, 20, 10)), 2)  # the left half once more
    pool = make_pool(frame, (0, 200, 0, 200), window=5, stride=1)
    spectra = np.tanh(pool.patches[:, 0, 2, 2:].astype(np.float64))
    agent, _ = explore((pool, spectra), 30, {"agent": "curio", "position": False})
    prediction = agent.report().prediction.reshape(*pool.grid, -1)
    np.testing.assert_allclose(prediction[:, :6], prediction[:, 10:16], atol=1e-5)
    assert nmse((pool, spectra), agent) < 0.9


def test_several_places_at_once_are_distinct_and_know_of_each_other(surface, explore):
    agent, _ = explore(surface, 12, {"agent": "curio", "checks": 0})
    before = agent.report(Context(budget=50)).maps["score"]
    highest = np.setdiff1d(np.argsort(before)[::-1], agent.measured, assume_unique=True)
    five = agent.suggest(5, Context(budget=50))
    assert len({one.index for one in five}) == 5
    assert [one.phase for one in five] == ["curious"] * 5
    np.testing.assert_array_equal(agent.report(Context(budget=50)).maps["score"], before)
    # What is pending counts as measured: asking one by one gives the same places.
    pending = []
    for one in five:
        (next_one,) = agent.suggest(1, Context(budget=50, pending=tuple(pending)))
        assert next_one.index == one.index
        pending.append(next_one.index)
    assert five[0].index == highest[0]
    assert {one.index for one in five} != {*highest[:5].tolist()}, "the others know of the first"


def test_a_check_that_cannot_be_measured_gives_way_to_the_next(surface, explore):
    agent, _ = explore(surface, 19, {"agent": "curio"})
    (check,) = agent.suggest(1, Context(budget=40))
    agent.ingest(Exclusion(check.index, "out of reach"))
    (other,) = agent.suggest(1, Context(budget=40))
    assert (check.phase, other.phase) == ("check", "check")
    assert other.index != check.index


@pytest.mark.parametrize("sample", ["pfm_pto_paper", "pif_actin", "beps_pto_dtm"])
def test_on_measured_samples_it_learns_more_than_a_common_process(sample, samples, explore):
    recorded = sample_from(samples / f"{sample}.npz")
    pool = make_pool(recorded.image, recorded.area, 9)
    (spectra,) = recorded.spectra(pool.positions, np.asarray(recorded.spectroscopy.axis))
    ours, theirs = (
        nmse((pool, spectra), explore((pool, spectra), 100, {"agent": name})[0]) for name in ("curio", "gp-variance")
    )
    assert ours < theirs < 1
