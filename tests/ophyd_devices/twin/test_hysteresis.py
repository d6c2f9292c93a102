"""Laws of the ensemble of hysterons."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophyd_devices.twin.hysteresis import HYSTERONS, final_state, remanent_state

biases = st.lists(st.floats(-10, 10), min_size=1, max_size=20).map(np.array)
starts = st.floats(-1, 1)


def state(bias, imprint=1.2, half_width=4.2, spread=0.4, start=-1.0):
    bias = np.asarray(bias, dtype=float)
    return remanent_state(bias, *(np.array([value]) for value in (imprint, half_width, spread, start)))[0]


@given(bias=biases, start=starts, imprint=st.floats(-2, 3), half_width=st.floats(1, 6), spread=st.floats(0.05, 2))
def test_the_state_stays_between_down_and_up(bias, start, imprint, half_width, spread):
    found = state(bias, imprint, half_width, spread, start)
    assert found.shape == bias.shape
    assert (np.abs(found) <= 1).all()


@given(bias=biases, start=starts)
def test_the_state_rises_only_with_positive_and_falls_only_with_negative_bias(bias, start):
    change = np.diff(state(bias, start=start))
    assert (change[bias[1:] >= 0] >= 0).all()
    assert (change[bias[1:] <= 0] <= 0).all()


@given(bias=biases, start=starts)
def test_an_excursion_within_larger_turning_points_is_forgotten(bias, start):
    outer = np.abs(bias).max()
    direct = state([-outer, outer], start=start)[-1]
    assert state([-outer, *bias, outer], start=start)[-1] == direct


@given(bias=biases, start=starts)
def test_a_step_repeated_changes_nothing_more(bias, start):
    np.testing.assert_array_equal(state(np.repeat(bias, 2), start=start)[1::2], state(bias, start=start))


@given(bias=st.lists(st.floats(-0.25, 0.25), min_size=1, max_size=5), start=starts)
def test_a_bias_near_zero_does_not_switch(bias, start):
    assert np.abs(state(bias, half_width=0.1, imprint=0.0, spread=1.0, start=start) - start).max() <= 1.01 / HYSTERONS


@pytest.mark.parametrize("start", [-1.0, 1.0])
def test_below_the_coercive_voltages_the_state_stays(start):
    assert (state([2, 0, -1, 0], spread=0.1, start=start) == start).all()


def test_the_loop_has_the_coercive_voltages_asked_for():
    ramp = np.linspace(0, 10, 1001)
    up = state(ramp, imprint=1.2, half_width=4.2, start=-1.0)
    down = state(-ramp, imprint=1.2, half_width=4.2, start=1.0)
    assert ramp[np.argmax(up >= 0)] == pytest.approx(5.4, abs=0.05)
    assert -ramp[np.argmax(down <= 0)] == pytest.approx(-3.0, abs=0.05)


def test_a_minor_loop_switches_in_part():
    partial = state([5.4, 0])
    assert abs(partial[-1]) < 0.2
    assert partial[-1] < state([7.5, 0])[-1]


def test_positions_do_not_influence_each_other():
    bias = np.array([6.0, -3.0, 4.0])
    parameters = np.random.default_rng(0).uniform([0, 3, 0.1, -1], [2, 5, 1, 1], (7, 4)).T
    together = remanent_state(bias, *parameters)
    alone = np.concatenate(
        [remanent_state(bias, *(row[index : index + 1] for row in parameters)) for index in range(7)]
    )
    np.testing.assert_array_equal(together, alone)


@given(bias=biases, start=starts, imprint=st.floats(-2, 3), half_width=st.floats(1, 6), spread=st.floats(0.05, 2))
def test_the_final_state_is_where_the_loop_ends(bias, start, imprint, half_width, spread):
    last = state(bias, imprint, half_width, spread, start)[-1]
    final = final_state(bias, *(np.array([value]) for value in (imprint, half_width, spread, start)))[0]
    # Hysterons resolve 2/64; where some stay, which of them start up is a matter of a few.
    assert final == pytest.approx(last, abs=12 / HYSTERONS)
    assert -1 <= final <= 1


@given(start=starts, bias=st.lists(st.floats(-0.29, 0.29), min_size=1, max_size=5).map(np.array))
def test_what_no_bias_reaches_stays_exactly_as_it_was(bias, start):
    assert final_state(bias, *np.array([[0.0], [0.1], [1.0], [start]]))[0] == start
