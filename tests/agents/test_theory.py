import numpy as np
import pytest

from agents.hysteresis import fit_loop, is_cyclic, loop, triangle
from agents.pool import make_pool
from ophyd_devices.twin.hysteresis import remanent_state

#                 offset slope amplitude imprint coercive width start
LOOP = np.array([0.1, 0.02, 1.2, 0.7, 2.5, 1.0, -0.4])


def test_a_triangle_begins_and_turns_where_it_is_told_to():
    assert triangle(8, 1.0, 0.0).tolist() == [0, 0.5, 1, 0.5, 0, -0.5, -1, -0.5]
    assert triangle(4, 0.5, 0.5) == pytest.approx([0, -0.5, -1, -0.5])
    assert is_cyclic(triangle(8, 1.0, 0.0))
    assert not is_cyclic(np.arange(5.0))


def test_a_loop_is_open_between_its_coercive_voltages():
    bias = 8 * triangle(64, 2, 0)
    down, up = 16, 32  # where the bias passes 0 V
    assert bias[[down, up]] == pytest.approx(0)
    spectrum = loop(bias, LOOP[None])[0]
    assert spectrum[0] == pytest.approx(0.1 + 1.2 * (-0.4 + 1.4 * (1 + np.tanh(-3.2)) / 2))  # the virgin state
    assert spectrum[down] > 1.2  # falling through 0 V it is still up
    assert spectrum[up] < -1.0  # rising, still down


def test_the_parameters_of_a_noisy_loop_are_found():
    bias = 8 * triangle(64, 1, 0)
    noisy = loop(bias, LOOP[None])[0] + np.random.default_rng(0).normal(scale=0.02, size=64)
    assert fit_loop(bias, noisy) == pytest.approx(LOOP, abs=0.08)
    assert fit_loop(bias, -3e-9 * noisy)[2] == pytest.approx(-3.6e-9, rel=0.05)


def test_the_theory_holds_for_the_ensemble_of_hysterons_of_the_twin():
    bias = 8 * triangle(64, 1, 0)
    one = np.ones(1)
    measured = remanent_state(bias, 0.5 * one, 2.5 * one, 0.5 * one, -one)[0]
    off = loop(bias, fit_loop(bias, measured)[None])[0] - measured
    assert (off**2).mean() < 0.01 * measured.var()


@pytest.fixture(scope="module")
def sample():
    """Loops of the twin's hysterons; in a stripe two kinds of them switch one after the other, as no loop does."""
    frame = np.tile(np.linspace(-1, 1, 40), (40, 1)) + 0.1 * np.random.default_rng(0).normal(size=(40, 40))
    frame[:, 26:34] += 2.0
    pool = make_pool(frame[None], (0, 400, 0, 400), window=5, stride=2)
    x = pool.positions[:, 0]
    missed = (x > 260) & (x < 340)
    bias = 8 * triangle(48, 1, 0)
    half_width = 2.0 + 0.3 * np.sin(x / 60)
    one, spread = np.ones(len(pool)), np.full(len(pool), 0.3)
    soft = remanent_state(bias, 0.2 * one, half_width, spread, -one)
    hard = remanent_state(bias, 0.2 * one, half_width + 4.0, spread, -one)
    return pool, np.where(missed[:, None], (soft + hard) / 2, soft), missed, bias


@pytest.mark.parametrize("known", [True, False], ids=["bias of the spectra", "assumed triangle"])
def test_curiosity_goes_where_the_theory_fails(sample, explore, known):
    pool, spectra, missed, bias = sample
    config = {"agent": "theory", "initial": 10, "filters": 4, "epochs": 60, "decay": 6.0}
    agent, suggestions = explore((pool, spectra), 30, config, bias if known else None)
    chosen = [suggestion.index for suggestion in suggestions[10:]]
    assert missed[chosen].mean() > 2 * missed.mean()
    error = agent.report().maps["predicted_error"]
    assert np.median(error[missed]) > 2 * np.median(error[~missed])


def test_the_prediction_of_the_theory_is_a_loop_in_the_unit_of_the_spectra(sample, explore):
    pool, spectra, missed, _ = sample
    agent, _ = explore(
        (pool, 1e3 * spectra), 30, {"agent": "theory", "initial": 20, "filters": 4, "mismatch": "prediction"}
    )
    off = (agent.report().prediction - 1e3 * spectra)[~missed]
    assert (off**2).mean() < 0.3 * (1e3 * spectra[~missed]).var()
