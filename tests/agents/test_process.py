import numpy as np
import pytest

from agents.process import Choices, Features, Kernel, Posterior, leave_one_out


@pytest.fixture(scope="module")
def features():
    numbers = np.random.default_rng(0)
    return Features(numbers.normal(size=(60, 5)), numbers.uniform(0, 100, size=(60, 2)))


KERNEL = Kernel(patch=3.0, position=60.0, noise=0.1)
EVERYWHERE = np.arange(60)


def by_hand(features, measured, spectra, offset):
    """The textbook posterior, with an inverse."""
    everything = KERNEL(features, EVERYWHERE, slice(None))
    inverse = np.linalg.inv(everything[np.ix_(measured, measured)] + KERNEL.noise * np.eye(len(measured)))
    gain = everything[:, measured] @ inverse
    return gain @ (spectra - offset) + offset, everything - gain @ everything[measured]


def test_one_observation_after_the_other_is_the_textbook_posterior(features):
    numbers = np.random.default_rng(1)
    measured, spectra = numbers.permutation(60)[:25], numbers.normal(size=(25, 4))
    posterior = Posterior(features, KERNEL, measured[:6], spectra[:6], integration=EVERYWHERE)
    for index, spectrum in zip(measured[6:], spectra[6:], strict=True):
        posterior.observe(index, spectrum)
    mean, covariance = by_hand(features, measured, spectra, spectra[:6].mean(axis=0))
    assert posterior.mean == pytest.approx(mean)
    assert posterior.variance == pytest.approx(np.diag(covariance))
    # What one more spectrum would bring is the difference of two mean variances.
    index = int(np.setdiff1d(EVERYWHERE, measured)[3])
    expected = posterior.reduction()[index]
    before = posterior.variance.mean()
    branch = posterior.branch()
    branch.imagine(index)
    assert before - branch.variance.mean() == pytest.approx(expected)
    assert posterior.variance.mean() == before
    assert posterior.mean == pytest.approx(mean)


def test_leaving_one_out_is_what_it_says(features):
    numbers = np.random.default_rng(2)
    measured = numbers.permutation(60)[:20]
    spectra = np.sin(features.positions[measured] / 20) + 0.1 * numbers.normal(size=(20, 2))
    kernel, error = leave_one_out(features, measured, spectra, Choices())
    centred = spectra - spectra.mean(axis=0)
    covariance = kernel(features, measured, measured) + kernel.noise * np.eye(20)
    off = []
    for out in range(20):
        rest = np.delete(np.arange(20), out)
        predicted = covariance[out, rest] @ np.linalg.solve(covariance[np.ix_(rest, rest)], centred[rest])
        off.append(centred[out] - predicted)
    assert error == pytest.approx((np.array(off) ** 2).mean() / (centred**2).mean())


def test_the_kernel_leaves_out_what_does_not_matter(features):
    measured = np.random.default_rng(3).permutation(60)[:40]
    of_position, _ = leave_one_out(features, measured, np.sin(features.positions[measured] / 30), Choices())
    assert np.isinf(of_position.patch)
    assert np.isfinite(of_position.position)
    of_patch, _ = leave_one_out(features, measured, np.sin(features.patches[measured][:, :2]), Choices())
    assert np.isinf(of_patch.position)


def test_patches_that_are_all_alike_say_nothing_of_the_spectra(features):
    """An image without contrast: the position alone decides, and no number is undefined."""
    alike = Features(np.ones_like(features.patches), features.positions)
    measured = np.random.default_rng(4).permutation(60)[:20]
    spectra = np.sin(features.positions[measured] / 30)
    kernel, error = leave_one_out(alike, measured, spectra, Choices())
    assert np.isfinite(kernel(alike, measured, measured)).all()
    expected, least = leave_one_out(features, measured, spectra, Choices())
    assert np.isinf(expected.patch)
    assert (kernel.position, error) == (expected.position, pytest.approx(least))


def test_the_kernels_are_added_or_multiplied_as_the_spectra_ask(features):
    measured = np.random.default_rng(4).permutation(60)[:50]
    of_patch, of_position = np.sin(features.patches[measured][:, :1]), np.sin(features.positions[measured][:, :1] / 20)
    choices = Choices(forms=("product", "sum"), noise=(0.01, 0.1))
    added, _ = leave_one_out(features, measured, of_patch + of_position, choices)
    assert added.form == "sum"
    multiplied, _ = leave_one_out(features, measured, of_patch * of_position, choices)
    assert multiplied.form == "product"
    everywhere = np.arange(60)
    assert np.diag(added(features, everywhere, everywhere)) == pytest.approx(1)
