import tracemalloc

import event_model
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ophyd.utils import LimitError, ReadOnlyError

from ophyd_devices.signals import TypedSignal

finite = st.floats(-1e12, 1e12)


@given(finite)
def test_a_number_is_read_as_it_was_put(value):
    signal = TypedSignal(name="s")
    signal.put(value)
    assert signal.get() == value
    assert type(signal.get()) is float


@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2), elements=finite))
def test_an_array_is_described_exactly(value):
    signal = TypedSignal(name="s", value=np.zeros((1, 1)), units="nm", dims=("y", "x"))
    signal.put(value)
    key = signal.describe()["s"]
    read = signal.read()["s"]["value"]
    assert np.array_equal(read, value)
    assert key["shape"] == list(read.shape)
    assert np.dtype(key["dtype_numpy"]) == read.dtype
    assert (key["dtype"], key["units"], key["dims"]) == ("array", "nm", ["y", "x"])


def test_an_integer_put_into_a_column_of_floats_stays_a_float():
    signal = TypedSignal(name="s")
    signal.put(0)
    assert type(signal.get()) is float
    assert signal.describe()["s"]["dtype_numpy"] == "<f8"


def test_what_was_put_is_a_copy():
    signal, mine = TypedSignal(name="s", value=np.zeros(3)), np.ones(3)
    signal.put(mine)
    mine[:] = 5
    assert signal.get().tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("signal", "value", "error", "message"),
    [
        ({}, np.nan, ValueError, "expected finite"),
        ({}, "five", ValueError, "expected number, got 'five'"),
        ({}, True, ValueError, "expected number"),
        ({}, [1.0], ValueError, "expected 0 dimensions"),
        ({"dtype": "<i8", "value": 1}, 1.5, ValueError, "expected integer"),
        ({"dtype": "|b1", "value": True}, 1, ValueError, "expected boolean"),
        ({"dtype": "U", "value": "a"}, 3, ValueError, "expected string"),
        ({"limits": (0, 1)}, 1.01, LimitError, r"1.01 is outside 0 … 1"),
        ({"value": np.zeros(2), "limits": (0, 1)}, [0.5, -1], LimitError, "outside"),
        ({"value": np.zeros(2), "fixed": True}, [1, 2, 3], ValueError, r"expected shape \(2,\)"),
        ({"writable": False}, 1.0, ReadOnlyError, "only the instrument sets it"),
        ({"dtype": "<i8", "value": 1}, np.inf, ValueError, "expected integer"),
        ({"dtype": "<i8", "value": 1}, np.nan, ValueError, "expected integer"),
        ({"dtype": "<i8", "value": 1}, 2**63, ValueError, "expected integer"),
        ({"dtype": "<i8", "value": 1}, 1e300, ValueError, "expected integer"),
        ({"value": np.zeros(2)}, np.ma.array([1.0, 2.0], mask=[True, False]), ValueError, "fill them with NaN"),
        ({"value": np.zeros(2)}, np.ones(2, complex), ValueError, "expected number"),
        ({"value": np.zeros(2)}, {1.0, 2.0}, ValueError, "expected 1 dimensions"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_changes(signal, value, error, message):
    subject = TypedSignal(name="s", **signal)
    before = subject.get()
    with pytest.raises(error, match=message):
        subject.put(value)
    assert np.array_equal(subject.get(), before)


def test_the_error_for_a_large_array_is_short_and_says_what_came():
    signal = TypedSignal(name="s", value=np.zeros((1, 1, 1)), limits=(0, 1))
    with pytest.raises(LimitError, match=r"(?s)s: \[\[\[2\. 2\. \.\.\. 2\. 2\.\].* is outside 0 … 1") as caught:
        signal.put(np.full((4, 512, 512), 2.0))
    assert len(str(caught.value)) < 300


def test_publishing_a_frame_takes_one_copy_and_no_text_of_it():
    signal = TypedSignal(name="s", dtype="<f4", value=np.zeros((1, 1, 1)))
    frame = np.ones((4, 512, 512), np.float32)
    tracemalloc.start()
    try:
        signal.publish(frame)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert frame.nbytes < peak < 1.5 * frame.nbytes


@pytest.mark.parametrize("options", [{}, {"dtype": "U", "value": "a"}, {"value": np.zeros((2, 2)), "limits": (0, 1)}])
def test_data_keys_are_valid_under_the_schema(options):
    signal = TypedSignal(name="s", **options)
    descriptor = {"uid": "d", "run_start": "r", "time": 0.0, "name": "primary", "data_keys": signal.describe()}
    event_model.schema_validators[event_model.DocumentNames.descriptor].validate(descriptor)
