"""The parts of the agent curio: posterior, kernel, basis of spectra, calibration, places."""

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from agents.curio import ridge
from agents.curio.calibration import Calibration
from agents.curio.kernel import JITTER, Kernel
from agents.curio.posterior import Posterior
from agents.curio.sites import RADII, Sites, compressed
from agents.curio.spectra import RANK, Basis, Scored
from agents.curio.trust import pays
from agents.pool import make_pool
from agents.protocols import Observation, Past

N, PAST = 56, 12
EVERYWHERE = np.arange(N)
KERNEL = Kernel(
    lengths=np.array([0.8, 1.5, 3.0]),
    reach=0.4,
    local_reach=0.7,
    structure=np.array([1.0, 0.3]),
    position=np.array([0.2, 0.5]),
    local=np.array([0.3, 0.1]),
    noise=np.array([0.05, 0.3]),
    transfer=0.6,
)
IMPORTANCE = np.array([2.0, 0.5])


@pytest.fixture(scope="module")
def sites():
    """56 candidates, and 12 places of two prior runs."""
    numbers = np.random.default_rng(0)
    rings = tuple(numbers.normal(size=(N + PAST, pixels)) / np.sqrt(pixels) for pixels in (1, 8, 16))
    return Sites(rings, numbers.uniform(size=(N + PAST, 2)), np.repeat([0, 1, 2], [N, 5, PAST - 5]))


@pytest.fixture(scope="module")
def measured():
    """Places of all areas, one of them twice, with scores and weights."""
    numbers = np.random.default_rng(1)
    places = np.append(numbers.permutation(N + PAST)[:40], 3)
    return places, numbers.normal(size=(41, 2)), numbers.uniform(1, 4, size=41)


def posterior(sites, places, scores, inflation, tracked=EVERYWHERE, integration=EVERYWHERE):
    scored = Scored(places, scores, inflation)
    return Posterior(sites, KERNEL, scored, tracked=tracked, integration=integration, importance=IMPORTANCE)


def by_hand(sites, places, scores, weights, predicted):
    """Mean (r, m) and covariance (r, m, m) of the textbook, with the kernel written out and an inverse."""
    every = np.arange(len(sites))
    squared = sum(
        ((ring[:, None] - ring[None]) ** 2).sum(axis=2) / length**2
        for ring, length in zip(sites.groups, KERNEL.lengths, strict=True)
    )
    distance = np.sqrt(squared)
    alike = (1 + np.sqrt(5) * distance + 5 / 3 * squared) * np.exp(-np.sqrt(5) * distance)
    apart = np.sqrt(3) * np.linalg.norm(sites.positions[:, None] - sites.positions[None], axis=2)
    near, nearby = apart / KERNEL.reach, apart / KERNEL.local_reach
    same = sites.area[every, None] == sites.area
    means, covariances = [], []
    for c in range(2):
        whole = KERNEL.structure[c] * alike * np.where(same, 1, KERNEL.transfer)
        whole = whole + KERNEL.position[c] * (1 + near) * np.exp(-near) * same
        whole = whole + KERNEL.local[c] * alike * (1 + nearby) * np.exp(-nearby) * same
        noisy = whole[np.ix_(places, places)] + np.diag(KERNEL.noise[c] * weights + JITTER)
        gain = whole[np.ix_(predicted, places)] @ np.linalg.inv(noisy)
        means.append(gain @ scores[:, c])
        covariances.append(whole[np.ix_(predicted, predicted)] - gain @ whole[np.ix_(places, predicted)])
    return np.array(means), np.array(covariances)


@pytest.mark.parametrize("begun", [0, 1, 30])
def test_one_spectrum_after_the_other_is_the_textbook_posterior_beyond_its_room_too(sites, measured, begun):
    places, scores, weights = measured
    grown = posterior(sites, places[:begun], scores[:begun], weights[:begun])
    for place, score, weight in zip(places[begun:], scores[begun:], weights[begun:], strict=True):
        grown.observe(place, score, weight)
    anew = posterior(sites, places, scores, weights)
    mean, covariance = by_hand(sites, places, scores, weights, EVERYWHERE)
    for each in (grown, anew):
        assert each.mean == pytest.approx(mean, abs=1e-9)
        assert each.variance == pytest.approx(np.diagonal(covariance, axis1=1, axis2=2), abs=1e-9)
        assert each.reduction() == pytest.approx(anew.reduction())
    for site in (7, N + 2):  # a candidate, and a place of a prior run
        expected_mean, expected_covariance = by_hand(sites, places, scores, weights, [site])
        found_mean, found_variance = grown.predict(site)
        assert found_mean == pytest.approx(expected_mean[:, 0], abs=1e-9)
        assert found_variance == pytest.approx(expected_covariance[:, 0, 0], abs=1e-9)


def test_the_mean_at_any_places_is_that_of_the_candidates(sites, measured):
    grown = posterior(sites, *(each[:20] for each in measured), tracked=np.arange(0, N, 5), integration=np.arange(3))
    for place, score, weight in zip(*(each[20:] for each in measured), strict=True):
        grown.observe(place, score, weight)
    assert grown.mean_at(EVERYWHERE)[:, ::5] == pytest.approx(grown.mean)
    mean, _ = by_hand(sites, *measured, np.arange(N + PAST))
    assert grown.mean_at(np.arange(N + PAST)) == pytest.approx(mean, abs=1e-9)


def test_what_a_spectrum_would_bring_is_what_it_brings(sites, measured):
    known = posterior(sites, *(each[:25] for each in measured))
    expected = known.reduction()
    before = known.variance.mean(axis=1)
    brought = []
    for site in EVERYWHERE:
        branch = known.branch()
        branch.imagine(site)
        brought.append(IMPORTANCE @ (before - branch.variance.mean(axis=1)))
    assert expected == pytest.approx(np.array(brought), abs=1e-5)
    assert expected.argmax() == np.argmax(brought)


def test_candidates_that_stand_for_others_are_not_preferred(sites):
    """Where no place tells of another, every place that was not measured is worth the same."""
    alone = dataclasses.replace(KERNEL, lengths=KERNEL.lengths / 1e3, reach=1e-3, local_reach=1e-3)
    scored = Scored(np.array([5]), np.ones((1, 2)), np.ones(1))
    some = np.arange(0, N, 3)
    known = Posterior(sites, alone, scored, tracked=EVERYWHERE, integration=some, importance=IMPORTANCE)
    left = np.delete(known.reduction(), 5)
    assert left == pytest.approx(np.full(N - 1, left[0]))
    assert known.reduction()[5] < left[0]


def test_a_branch_leaves_its_origin_alone(sites, measured):
    places, scores, weights = (each[:20] for each in measured)
    known, untouched = (posterior(sites, places, scores, weights) for _ in range(2))
    branch = known.branch()
    for site in range(40):  # more than there is room for
        branch.imagine(site)
    assert (branch.variance < known.variance).all()
    for each in (known, untouched):
        each.observe(50, np.ones(2))
    for name in ("mean", "variance"):
        np.testing.assert_array_equal(getattr(known, name), getattr(untouched, name))
    np.testing.assert_array_equal(known.reduction(), untouched.reduction())


def test_leaving_one_out_is_what_it_says(sites, measured):
    places, scores, weights = (each[:15] for each in measured)
    off, variance = posterior(sites, places, scores, weights).leave_one_out()
    for out in range(15):
        rest = np.delete(np.arange(15), out)
        mean, left = posterior(sites, places[rest], scores[rest], weights[rest]).predict(places[out])
        assert off[:, out] == pytest.approx(scores[out] - mean)
        assert variance[:, out] == pytest.approx(left)


def test_a_bad_spectrum_weighs_less(sites):
    nothing = posterior(sites, EVERYWHERE[:0], np.empty((0, 2)), np.empty(0))
    good, bad = nothing.branch(), posterior(sites, EVERYWHERE[:0], np.empty((0, 2)), np.empty(0))
    good.observe(4, np.ones(2))
    bad.observe(4, np.ones(2), inflation=100.0)
    assert (np.abs(bad.mean) < np.abs(good.mean)).all()
    assert (bad.variance >= good.variance).all()


def scene(seed=0, channels=2, size=24, window=7):
    """A pool of noise: what is in one channel says nothing about the other or about the place."""
    frame = np.random.default_rng(seed).normal(size=(channels, size, size))
    return make_pool(frame, (0, 10 * size, 0, 10 * size), window=window, stride=1)


def fit(sites, places, scores):
    """Fit a kernel to good spectra, beginning at the prior."""
    import agents.curio.fit

    scored = Scored(places, scores, np.ones(len(places)))
    return agents.curio.fit.fit(sites, scored, Kernel.prior(len(sites.groups), scores.shape[1]))


def fitted(pool, scores, noise, count=80, seed=5):
    numbers = np.random.default_rng(seed)
    sites = Sites.of(pool)
    places = numbers.permutation(len(pool))[:count]
    scores = (scores - scores.mean(axis=0)) / scores.std(axis=0)
    scores = scores[places] + noise * numbers.normal(size=(count, scores.shape[1]))
    return fit(sites, places, scores)


def test_the_kernel_finds_that_the_pixel_at_hand_matters_and_the_rest_does_not():
    pool = scene()
    middle = pool.patches[:, 0, 3, 3].astype(np.float64)
    scores = np.stack([np.tanh(middle), np.cos(middle)], axis=1)
    kernel = fitted(pool, scores - scores.mean(axis=0), noise=0.1)
    assert kernel.lengths.argmin() == 0
    assert (kernel.lengths[1:] > 3 * kernel.lengths[0]).all(), "rings farther out, and all of the channel of noise"
    varies = kernel.position / kernel.reach**2  # over one typical distance; beyond its reach it is a constant
    assert (kernel.structure > 5 * varies).all()
    assert (kernel.noise < 0.2).all()


def test_the_kernel_finds_that_only_the_place_matters():
    pool = scene()
    x, y = pool.positions.T / 240
    kernel = fitted(pool, np.stack([np.sin(4 * x + y), np.cos(3 * y)], axis=1), noise=0.1)
    assert (kernel.position > 5 * kernel.structure).all()


def test_the_kernel_finds_noise_where_there_is_nothing_else():
    smooth = gaussian_filter(np.random.default_rng(0).normal(size=(24, 24)), 3)
    pool = make_pool(smooth[None], (0, 240, 0, 240), window=7, stride=1)
    kernel = fitted(pool, np.random.default_rng(8).normal(size=(len(pool), 2)), noise=0.0, count=200)
    assert (kernel.noise > 2 * (kernel.position + kernel.structure)).all()


def test_a_place_measured_twice_is_no_trouble():
    sites = Sites.of(scene(size=12))
    places = np.array([0, 0, 0, 5, 5, 9])
    kernel = fit(sites, places, np.arange(12.0).reshape(6, 2))
    for values in (kernel.lengths, kernel.structure, kernel.position, kernel.noise):
        assert np.isfinite(values).all()
        assert (values > 0).all()
    assert 0 < kernel.transfer < 1


def test_areas_are_joined_only_if_their_spectra_agree():
    numbers = np.random.default_rng(3)
    structure = numbers.normal(size=80)
    area = np.repeat([0, 1], 40)
    sites = Sites((structure[:, None],), numbers.uniform(size=(80, 2)), area)
    found = []
    for sign in (1, 0):  # the same relation in both areas, and none in one
        scores = np.sin(2 * structure) * np.where(area == 0, 1, sign) + (1 - sign) * area * np.cos(3 * structure)
        kernel = fit(sites, np.arange(80), scores[:, None])
        found.append(kernel.transfer)
    assert found[0] > 0.9
    assert found[1] < 0.5


def loops(count, numbers):
    """Spectra of one phase: a loop whose height varies, and little noise; the last is another phase."""
    axis = np.linspace(0, 2 * np.pi, 40)
    heights = numbers.normal(size=(count, 1))
    return heights * np.sin(axis) + 0.02 * numbers.normal(size=(count, 40)), axis


@pytest.mark.parametrize("noise", [1e-4, 0.01, 1.0])
@pytest.mark.parametrize("unknown", [0.0, 0.1, 1.0])
def test_the_farther_off_a_suspicious_spectrum_the_less_it_pulls_whatever_the_noise(noise, unknown):
    from agents.curio.model import SUSPICIOUS, distrust

    kernel = dataclasses.replace(Kernel.prior(3, 1), noise=np.array([noise]))
    basis = Basis(np.zeros(8), np.eye(1, 8), np.ones(1), 0.0)
    variance = np.full((1, 60), unknown)
    deviation = np.linspace(0, 60, 60)
    inflation = distrust(basis, kernel.noise, deviation[None] * (variance + noise), variance, typical=1.0)
    innocent = deviation <= SUSPICIOUS
    assert (inflation[innocent] == 1).all()
    # Its share in the sum of what is expected and what is found, times how far off it is, in expected deviations.
    pull = np.sqrt(deviation) * (unknown + noise) / (unknown + noise * inflation)
    assert (np.diff(pull[~innocent]) < 0).all()
    assert pull[-1] < 0.03


def test_one_spectrum_with_spikes_hardly_turns_the_basis():
    spectra, axis = loops(40, np.random.default_rng(0))
    spiked = spectra.copy()
    spiked[7, ::5] += 1000.0
    for each in (spectra, spiked):
        basis = Basis.of(each - spectra.mean(axis=0), spectra.mean(axis=0), np.ones(40))
        direction = np.sin(axis) / np.linalg.norm(np.sin(axis))
        assert np.linalg.norm(basis.directions @ direction) > 0.98


def test_a_rare_phase_is_in_the_basis():
    numbers = np.random.default_rng(1)
    spectra, axis = loops(60, numbers)
    other = np.cos(3 * axis)
    spectra[:3] += 4 * other + 0.1 * numbers.normal(size=(3, 40))
    mean = spectra.mean(axis=0)
    basis = Basis.of(spectra - mean, mean, np.ones(60))
    direction = other / np.linalg.norm(other)
    assert np.linalg.norm(basis.directions @ direction) > 0.95
    assert np.abs(basis.compose(basis.project(spectra - mean)) - spectra)[:3].mean() < 0.1


@pytest.mark.parametrize("steps", [1, 5, 40])
def test_scores_and_spectra_belong_together(steps):
    numbers = np.random.default_rng(2)
    spectra = numbers.normal(size=(20, steps)) * np.geomspace(1, 0.1, steps)
    mean = spectra.mean(axis=0)
    basis = Basis.of(spectra - mean, mean, np.ones(20))
    rank = len(basis.scale)
    assert rank == min(RANK, steps)
    assert basis.directions @ basis.directions.T == pytest.approx(np.eye(rank), abs=1e-12)
    scores = basis.project(spectra - mean)
    assert (scores**2).mean(axis=0) == pytest.approx(np.ones(rank))
    assert basis.project(basis.restore(scores)) == pytest.approx(scores)
    # The error of spectra is that of the scores, weighted, and what the basis leaves.
    residual = ((spectra - basis.compose(0 * scores)) ** 2).mean()
    assert basis.importance @ (scores**2).mean(axis=0) + basis.rest == pytest.approx(residual)


def test_spectra_that_are_all_the_same_have_a_basis():
    basis = Basis.of(np.zeros((5, 12)), np.full(12, 3.0), np.ones(5))
    assert basis.rest == 0
    assert (basis.scale > 0).all()
    np.testing.assert_array_equal(basis.compose(basis.project(np.zeros((2, 12)))), np.full((2, 12), 3.0))


def calibrations(numbers, checks, times=400, freedom=4, optimism=1.0):
    """Spectra whose errors are as predicted times `optimism`, with the scatter of a χ² distribution."""
    for _ in range(times):
        predicted, left_out = numbers.uniform(0.5, 2, size=checks), numbers.uniform(0.5, 2, size=40)
        errors = [each * optimism * numbers.chisquare(freedom, each.size) / freedom for each in (predicted, left_out)]
        yield Calibration.of(predicted, errors[0], left_out, errors[1])


@pytest.mark.parametrize(("checks", "widest"), [(0, 1.0), (3, 1.0), (20, 0.96)])
@pytest.mark.parametrize("optimism", [0.5, 3.0])
def test_the_corrected_error_is_right_on_average_and_its_interval_holds(checks, widest, optimism):
    """With few checks the interval is wider than it need be, with many it is not."""
    found = list(calibrations(np.random.default_rng(checks), checks, optimism=optimism))
    factors = np.array([one.factor for one in found])
    assert factors.mean() == pytest.approx(optimism, rel=0.03)
    held = np.mean([one.low <= optimism <= one.high for one in found])
    assert 0.88 <= held <= widest
    assert all(one.low <= one.factor <= one.high for one in found)
    assert {one.checks for one in found} == {checks}


def test_nine_in_ten_single_spectra_lie_between_the_quantiles():
    numbers = np.random.default_rng(9)
    inside = [
        np.mean((one.quantiles[0] < ratios) & (ratios < one.quantiles[1]))
        for one in calibrations(numbers, 30)
        for ratios in [numbers.chisquare(4, 50) / 4 / one.factor]
    ]
    assert 0.85 < np.mean(inside) < 0.95


def test_checks_tell_more_than_spectra_that_were_left_out():
    wrong, right = np.full(40, 9.0), np.ones(40)
    factor = Calibration.of(np.ones(30), np.ones(30), right, wrong).factor
    assert factor == pytest.approx((30 + 10 * 9) / 40)


def test_nothing_found_is_no_error():
    calibration = Calibration.of(np.ones(3), np.zeros(3), np.ones(5), np.zeros(5))
    assert (calibration.factor, calibration.low, calibration.high) == (0, 0, 0)


@pytest.mark.parametrize(("channels", "window"), [(1, 5), (4, 16), (2, 3)])
def test_rings_take_every_pixel_of_a_patch_once(channels, window):
    frame = np.random.default_rng(0).normal(size=(channels, 20, 29))
    pool = make_pool(frame, (0, 290, 0, 400), window=window, stride=2)
    sites = Sites.of(pool)
    per_channel = len(sites.groups) // channels
    assert sum(ring.shape[1] for ring in sites.groups) == channels * window**2
    assert 1 < per_channel <= len(RADII) + 1
    assert [ring.shape[1] for ring in sites.groups[::per_channel]] == [1] * channels, "the pixel at the candidate"
    centre = compressed(pool.patches, pool.patches)[:, :, window // 2, window // 2]
    for channel, ring in enumerate(sites.groups[::per_channel]):
        assert np.corrcoef(ring[:, 0], centre[:, channel])[0, 1] == pytest.approx(1.0)
    assert [group.shape[1] for group in Sites.of(pool, view="patch").groups] == [window**2] * channels
    for values in (*sites.groups, sites.positions):
        # The median squared distance is 1, if all candidates tell what is typical.
        apart = ((values[:, None] - values[None]) ** 2).sum(axis=2)[np.triu_indices(len(pool), 1)]
        assert np.median(apart) == pytest.approx(1, rel=0.1)


def test_what_is_the_same_everywhere_is_left_out():
    frame = np.random.default_rng(0).normal(size=(2, 16, 16))
    frame[1] = 7.0
    pool = make_pool(frame, (0, 160, 0, 160), window=5, stride=1)
    assert len(Sites.of(pool).groups) == len(Sites.of(make_pool(frame[:1], (0, 160, 0, 160), 5, 1)).groups)
    assert Sites.of(make_pool(np.ones((1, 16, 16)), (0, 160, 0, 160), 5, 1)).groups == ()


def test_a_rare_feature_is_not_taken_for_nothing():
    frame = np.zeros((1, 20, 20))
    frame[0, 10, 10] = 5.0
    rings = Sites.of(make_pool(frame, (0, 200, 0, 200), window=5, stride=1)).groups
    assert rings
    assert all(np.isfinite(ring).all() for ring in rings)


def test_earlier_runs_are_areas_of_their_own():
    pool, other = scene(seed=1, size=14), scene(seed=2, size=20)
    runs = []
    for uid, indices in (("one", (3, 50, 7)), ("two", ())):
        taken = [Observation(i, other.positions[i], other.positions[i], np.zeros(4), 0.0) for i in indices]
        runs.append(Past(uid, other, tuple(taken)))
    sites, alone = Sites.of(pool, runs), Sites.of(pool)
    assert len(sites) == len(pool) + 3
    assert sites.area.tolist() == [0] * len(pool) + [1] * 3
    for together, without in zip((*sites.groups, sites.positions), (*alone.groups, alone.positions), strict=True):
        np.testing.assert_array_equal(together[: len(pool)], without)
    ratio = sites.groups[0][len(pool) :, 0] / compressed(other.patches, pool.patches)[[3, 50, 7], 0, 3, 3]
    assert ratio == pytest.approx(np.full(3, ratio[0])), "in the same unit as the present ones"


def test_the_ridge_kernel_predicts_each_spectrum_best_from_the_others(sites, measured):
    """The errors of the list, each left out by hand, with the noise of each spectrum."""
    places, scores, inflation = (each[:15] for each in measured)
    patch = dataclasses.replace(sites, groups=sites.groups[:1])
    scored = Scored(places, scores, inflation)

    def error(kernel):
        nowhere = EVERYWHERE[:0]
        one = Posterior(patch, kernel, scored, tracked=nowhere, integration=nowhere, importance=IMPORTANCE)
        return float(IMPORTANCE @ (one.leave_one_out()[0] ** 2 / inflation).sum(axis=1))

    found = ridge.choose(patch, scored, IMPORTANCE)
    every = [unit.scaled(found.variance, noise) for unit in ridge.kernels(1, position=True) for noise in ridge.NOISE]
    assert len(every) == (5 * 6 + 4 * 5) * 7
    assert error(found) == pytest.approx(min(map(error, every)), rel=1e-3)


def test_the_ridge_kernel_finds_whether_structure_or_position_matters(sites):
    patch = dataclasses.replace(sites, groups=sites.groups[:1])
    for wanted, feature in (("structure", patch.groups[0][:N, 0]), ("position", patch.positions[:N, 0])):
        scores = np.stack([np.sin(3 * feature), np.cos(3 * feature)], axis=1)
        kernel = ridge.choose(patch, Scored(EVERYWHERE, scores - scores.mean(axis=0), np.ones(N)), IMPORTANCE)
        smooth = kernel.reach < np.inf and kernel.structure[0] == 0 and np.isinf(kernel.lengths[0])
        assert smooth if wanted == "position" else kernel.structure[0] > 0
    with_none = ridge.choose(patch, Scored(EVERYWHERE, scores, np.ones(N)), IMPORTANCE, position=False)
    assert not with_none.position.any()
    assert not with_none.local.any()


def test_trusting_less_pays_if_the_others_gain_more_than_all_lose():
    trusting, doubted = np.array([1.0, 1.0, 9.0]), np.array([False, False, True])
    for before in (False, True):
        assert pays(trusting, np.array([0.6, 0.6, 9.5]), doubted, before=before), "a bad one is predicted by nothing"
        assert not pays(trusting, np.array([0.6, 0.6, 13.0]), doubted, before=before), "a rare one is predicted worse"
        assert not pays(trusting, np.array([0.97, 0.97, 9.0]), doubted, before=before)
        assert not pays(trusting, trusting, np.zeros(3, dtype=bool), before=before)
        assert not pays(np.zeros(3), np.zeros(3), doubted, before=before)
    little = np.array([0.9, 0.9, 9.0])
    assert pays(trusting, little, doubted, before=True)
    assert not pays(trusting, little, doubted, before=False), "the first time, more evidence is asked for"


def test_contrast_is_compressed_only_where_it_is_extreme():
    """Two bright places are then more alike than either is to the rest."""
    patches = np.random.default_rng(0).normal(3.0, 2.0, size=(400, 2, 3, 3))
    patches[:5, 0] += 500 * np.arange(1, 6)[:, None, None]
    small = compressed(patches, patches)
    usual = patches[5:] - np.median(patches, axis=(0, 2, 3), keepdims=True)
    np.testing.assert_allclose(small[5:], usual, atol=0.05 * np.abs(usual).max())
    bright = small[:5, 0, 1, 1]
    assert (np.diff(bright) > 0).all()
    assert bright[4] - bright[1] < bright[1] - np.median(small)
    assert not compressed(np.ones((4, 1, 3, 3)), np.ones((4, 1, 3, 3))).any()
