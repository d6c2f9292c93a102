"""What goes over the wire arrives bit for bit, and nothing else gets in."""

import pickle

import msgpack
import numpy as np
import pytest

from agents.pool import make_pool
from agents.protocols import (
    Answer,
    Context,
    Estimate,
    Exclusion,
    Observation,
    Past,
    Question,
    Report,
    Steering,
    Suggestion,
)
from curio_plans.elsewhere.wire import Chain, WireError, pack, read_record, unpack

RNG = np.random.default_rng(0)
POOL = make_pool(RNG.normal(size=(2, 12, 14)), (0, 140, 0, 120), window=5, stride=2)
OBSERVATION = Observation(3, np.array([1.0, 2.0]), np.array([1.5, 2.5]), RNG.normal(size=7), 0.1, np.arange(7.0))
RECORDS = [
    POOL, OBSERVATION, Past("uid", POOL, (OBSERVATION,)), Exclusion(2, "out of reach"), Answer("go on?", "yes"),
    Steering("pick", (4, 5), '{"x": 1}'),
]  # fmt: skip
ANSWERS = [
    Context(9, (1, 2), (3,)), [Suggestion(np.int64(4), "curious", np.float32(0.1), {"noise": 1e-300})],
    Question("stop?", ("yes", "no")), Report({"loss": float("inf")}, {"score": RNG.normal(size=5).astype("f4")}, None),
    Estimate(0.1, 0.05, 0.2, 0.01, float("nan"), 3), None,
]  # fmt: skip


def same(one, other):
    if hasattr(one, "__dataclass_fields__"):
        return type(one) is type(other) and all(same(getattr(one, n), getattr(other, n)) for n in vars(one))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, tuple | list):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return one == other or (one != one and other != other)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_arrives_as_it_was(record):
    assert same(record, read_record(pack(record)))
    assert pack(record) == pack(read_record(pack(record)))


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: type(answer).__name__)
def test_an_answer_arrives_as_it_was(answer):
    assert same(answer, unpack(pack(answer)))


def test_the_digest_tells_config_records_and_order_apart():
    chains = []
    for config, records in (
        ({"agent": "a", "seed": 1}, RECORDS), ({"agent": "a", "seed": 2}, RECORDS),
        ({"agent": "a", "seed": 1}, RECORDS[::-1]), ({"agent": "a", "seed": 1}, [*RECORDS, RECORDS[-1]]),
    ):  # fmt: skip
        chain = Chain(config)
        chain.digests += chain.after(0, map(pack, records))
        chains.append(chain.last)
    assert len(set(chains)) == 4
    again = Chain({"seed": 1, "agent": "a"})
    again.digests += again.after(0, map(pack, RECORDS[:2]))
    again.digests += again.after(2, map(pack, RECORDS[2:]))
    assert again.last == chains[0]


class Harm:
    def __reduce__(self):
        raise AssertionError("something was unpickled")


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xc1", pickle.dumps([1]), msgpack.packb(msgpack.ExtType(9, b"")),
        msgpack.packb(msgpack.ExtType(1, msgpack.packb(("|O", [1], b"8bytes..")))),
        msgpack.packb(msgpack.ExtType(1, msgpack.packb(("<f8", [2], b"8bytes..")))),
        msgpack.packb(msgpack.ExtType(1, msgpack.packb(("<f8", [1 << 62, 1 << 62], b"8bytes..")))),
        msgpack.packb({"kind": "Storage", "parts": {}}), msgpack.packb({"kind": "Pool", "parts": {"nothing": 1}}),
        b"\x91" * 3000 + b"\xc0",
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(data):
    with pytest.raises(WireError):
        unpack(data)


def test_what_is_no_record_is_refused():
    with pytest.raises(WireError, match="expected a record, got Context"):
        read_record(pack(Context(3)))
    with pytest.raises(TypeError, match="expected numbers"):
        pack({"array": np.array([Harm()], dtype=object)})
