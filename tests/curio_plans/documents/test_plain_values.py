import dataclasses
import datetime
import decimal
import enum
import fractions
import json
import pathlib
import re
import tempfile

import numpy as np
import orjson
import pytest
from bluesky import RunEngine
from bluesky import preprocessors as bpp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from curio_plans.documents.plain_values import LARGEST, plain
from curio_plans.documents.start import normalise
from curio_plans.plans import curiosity, image
from curio_plans.store.journal import Journal
from curio_plans.store.reader import read_journal


class Colour(enum.Enum):
    RED = 1


class Phase(enum.StrEnum):
    UP = "up"


class Level(enum.IntEnum):
    LOW = 3


@dataclasses.dataclass
class Point:
    x: float


def of_libraries():
    """Values of pandas, xarray and pint, which take a second to load."""
    import pandas as pd
    import pint
    import xarray

    return [
        pd.Timestamp("2026-01-02"), pd.NaT, pd.NA, pd.Timedelta(1, "s"), pd.Series([1, 2]), pd.DataFrame({"a": [1]}),
        xarray.DataArray([1.0]), xarray.Dataset({"a": 1.0}), 3 * pint.UnitRegistry().nm,
    ]  # fmt: skip


scalars = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.characters(categories=["Cs"])),
    *(st.binary(max_size=4), st.decimals(), st.fractions(), st.complex_numbers()),
    *(st.dates(), st.datetimes(), st.times(), st.timedeltas()),
    st.sampled_from([
        Colour.RED, Phase.UP, Level.LOW, Point(1.0), pathlib.PurePath("a/b"), pathlib.PurePath("a\udcff"), range(3),
        object(), print, Point,
        np.longdouble(1), np.complex64(1j), np.datetime64("2026-01-01"), np.str_("a"), np.bytes_(b"a"), np.bool_(True),
        np.ma.masked_array([1, 2], [False, True]), np.ma.masked_array([1.0], [True]), np.ma.masked,
        np.array([[1, 0]]).view(np.matrix),
        np.array([None, [1]], dtype=object), np.zeros(2, [("a", float)]), np.recarray(2, [("a", float)]),
        np.array(["2026-01-01"], "datetime64[s]"), np.array(3), np.array("a"), 2**64, -(2**70),
    ]),
    st.deferred(lambda: st.sampled_from(of_libraries())),
    npst.arrays(
        st.one_of(npst.boolean_dtypes(), npst.integer_dtypes(), npst.floating_dtypes(), npst.unicode_string_dtypes()),
        npst.array_shapes(max_dims=2, max_side=5, min_side=0),
    ),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.sets(st.integers(), max_size=2),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers(), st.tuples(st.integers())), inner, max_size=3),
    ),
    max_leaves=6,
)


def same(one, other):
    """Equal in value and in type, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return one == other


def as_json(value):
    """What JSON makes of a value, if it changes no number and no text."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


@given(values)
def test_a_value_is_refused_by_its_key_or_comes_back_as_it_was(value):
    try:
        md = normalise({"uid": "a", "time": 1.0, "key": value})
    except ValueError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert re.match(r"metadata key[.:…]", refusal), "the key is named"
        return
    with tempfile.TemporaryDirectory() as directory:
        Journal(directory)("start", md)
        ((_, start),) = read_journal(directory, "a")
    assert same(start["key"], md["key"]), "the journal gives it back"
    assert orjson.loads(orjson.dumps(as_json(md["key"]))) == as_json(md["key"]), "so does JSON, and with it Tiled"
    assert same(plain(md["key"]), md["key"]), "what was made plain stays as it is"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(LARGEST), LARGEST),
        (np.str_("a"), "a"),
        (np.bool_(True), True),
        (Phase.UP, "up"),
        (Level.LOW, 3),
        (pathlib.Path("a/b"), "a/b"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC), "2026-01-02T03:04:00+00:00"),
        (np.eye(2, dtype=int).view(np.matrix), np.eye(2, dtype=int)),
        (("here", 1, [None]), ("here", 1, [None])),
    ],
)
def test_what_is_made_plain(value, expected):
    assert same(plain(value, "key"), expected)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.ma.masked_array([1, 2], [False, True]), "got a MaskedArray; fill it with array.filled"),
        (Colour.RED, "got a Colour; give its value"),
        (Point(1.0), r"got a Point; give dataclasses\.asdict"),
        (decimal.Decimal("0.1"), "got a Decimal; give a float, or text"),
        (fractions.Fraction(1, 3), "got a Fraction; give a float, or text"),
        (b"ab", r"got a bytes; give text, e\.g\. value\.hex\(\)"),
        ({1, 2}, "got a set; give a sorted list"),
        (float("nan"), "expected a finite number, got nan; leave it out"),
        (np.array([1.0, np.inf]), "expected finite numbers, got NaN or infinity"),
        (2**53, f"a whole number up to ±{LARGEST}, got a larger one; give text"),
        (np.array([2**60]), "got larger ones; give text"),
        (np.array([1j]), "got one of complex128; convert it"),
        ("a\0b", "with a zero byte; leave that out"),
        ("\ud800", "which UTF-8 does not have"),
    ],
)
def test_what_is_refused_says_what_to_give_instead(value, words):
    with pytest.raises(ValueError, match=rf"^metadata some\.where\.1: .*{words}"):
        normalise({"some": {"where": [0, value]}})


def test_values_of_libraries_are_made_plain_or_refused_in_the_same_way():
    timestamp, nat, *_, frame, _, _, quantity = of_libraries()
    assert plain(timestamp, "key") == "2026-01-02T00:00:00"
    for value, words in (
        (nat, "got a NaTType; give one of these"),
        (frame, "got a DataFrame; give value.to_dict"),
        (quantity, "got a Quantity; give its number, and its unit as text"),
    ):
        with pytest.raises(ValueError, match=words):
            normalise({"key": value})


@pytest.mark.parametrize("key", [1, "", "a.b", "a/b", "\ud800", ("a",)])
def test_a_key_that_documents_cannot_have_is_refused(key):
    with pytest.raises(ValueError, match=r"^metadata some: expected text"):
        normalise({"some": {key: 1}})


def test_what_contains_itself_is_refused():
    value = []
    value.append(value)
    with pytest.raises(ValueError, match=r"^metadata key\.0.*nested at most 20 deep"):
        normalise({"key": value})


def test_an_array_is_copied():
    array = np.arange(3)
    kept = normalise({"key": array})["key"]
    array[0] = 7
    assert kept.tolist() == [0, 1, 2]


def test_unreadable_metadata_is_refused_before_anything_moves(afm, documents, engine):
    engine.md_normalizer = normalise
    with pytest.raises(ValueError, match=r"metadata positions: .*MaskedArray"):
        engine(image(afm, md={"positions": np.ma.masked_array([1, 2], [False, True])}))
    engine.md["when"] = {"was": [datetime.timedelta(1)]}
    with pytest.raises(ValueError, match=r"metadata when\.was\.0: .*timedelta; give its seconds"):
        engine(image(afm))
    assert documents == []
    assert afm.backend.time() == 0


REPLACED = {
    "agent": "mine", "plan_name": "my_scan", "plan_args": {}, "resumes": "yesterday", "sample": "PTO-7",
    "learned_from": ["r1"], "rebuilt": True, "versions": {}, "git": "x", "points": 7, "pool": {}, "microscope": "stm",
    "curio_format": 0, "curio_provenance": None,
}  # fmt: skip


def by_call(engine, plan, key):
    engine(plan, **{key: REPLACED[key]})


def by_wrapper(engine, plan, key):
    engine(bpp.inject_md_wrapper(plan, {key: REPLACED[key]}))


def by_two_wrappers(engine, plan, key):
    engine(bpp.inject_md_wrapper(bpp.inject_md_wrapper(plan, {key: "first"}), {"note": 1}))


@pytest.mark.parametrize("way", [by_call, by_wrapper, by_two_wrappers])
@pytest.mark.parametrize("key", REPLACED)
def test_what_a_replay_relies_on_cannot_be_replaced_in_any_way(way, key, afm, documents, wanderer):
    engine = RunEngine({}, md_normalizer=normalise)
    emitted = []
    engine.subscribe(lambda name, _: emitted.append(name))
    with pytest.raises(ValueError, match=r"as the plan gave it, because replaying .*; choose other names"):
        way(engine, curiosity(afm, {"agent": "wanderer"}, 2, build=wanderer, stride=8), key)
    assert emitted == []
    assert afm.backend.time() == 0


@pytest.mark.parametrize("key", ["resumes", "learned_from", "rebuilt"])
def test_what_the_plan_does_not_say_cannot_be_said_for_it(key, afm):
    engine = RunEngine({key: REPLACED[key]}, md_normalizer=normalise)
    with pytest.raises(ValueError, match=f"^expected {key} as the plan gave it"):
        engine(image(afm))


def test_a_sample_of_the_session_is_shadowed_by_that_of_the_instrument_and_free_for_other_plans(afm):
    engine = RunEngine({"sample": "PTO-7", "operator": "Ada"}, md_normalizer=normalise)
    started = []
    engine.subscribe(lambda _, doc: started.append(doc), "start")
    engine(image(afm))
    engine(bpp.run_wrapper(iter([])))
    assert started[0]["sample"] == plain(afm.describe_sample())
    assert (started[1]["sample"], started[1]["operator"]) == ("PTO-7", "Ada")
    assert json.dumps(started[0]["curio_provenance"])
