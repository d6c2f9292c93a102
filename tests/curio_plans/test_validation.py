import copy
import pickle

import numpy as np
import pytest
from pydantic import Field

from curio_plans.validation import (
    Flag,
    Fraction,
    Frozen,
    NonNegative,
    NonNegativeWhole,
    Number,
    Positive,
    PositiveWhole,
    Text,
    Whole,
    validated,
)


class Inner(Frozen):
    depth: Positive = 1.0
    api_key: str = ""


class Rule(Frozen):
    number: Number = 0.0
    limit: Positive | None = None
    rest: NonNegative = 0.0
    share: Fraction = 0.5
    whole: Whole = 0
    tries: NonNegativeWhole = 2
    size: PositiveWhole = 9
    careful: Flag = True
    name: Text = "rule"
    inner: Inner | None = None
    many: list[float] = Field(default_factory=list)


@pytest.mark.parametrize("nine", [9, 9.0, np.int64(9), np.uint8(9), np.float32(9), np.float64(9), np.array(9)])
def test_numpy_scalars_and_integral_floats_are_numbers(nine):
    rule = validated(Rule, {"size": nine, "limit": nine, "number": nine, "whole": nine}, "rule")
    assert (rule.size, rule.limit, rule.number, rule.whole) == (9, 9.0, 9.0, 9)
    assert {type(rule.size), type(rule.limit)} == {int, float}
    assert validated(Rule, {"careful": np.False_}, "rule").careful is False


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"limit": float("nan")}, r"^rule: limit: Input should be a finite number, got nan$"),
        ({"limit": np.float32("inf")}, r"limit: Input should be a finite number, got .*inf"),
        ({"limit": 10**5000}, r"limit: Input should be a finite number, got a whole number of 16610 bits$"),
        ({"limit": 0}, r"limit: Input should be greater than 0, got 0"),
        ({"limit": "30"}, r"limit: Input should be a number, got '30'"),
        ({"limit": True}, r"limit: Input should be a number, got True"),
        ({"share": 1.5}, r"share: Input should be less than or equal to 1, got 1\.5"),
        ({"rest": -1}, r"rest: Input should be greater than or equal to 0, got -1"),
        ({"tries": -1}, r"tries: Input should be greater than or equal to 0, got -1"),
        ({"size": 0.0}, r"size: Input should be greater than or equal to 1, got 0$"),
        ({"size": 9.5}, r"size: Input should be a whole number, got 9\.5"),
        ({"size": float("nan")}, r"size: Input should be a whole number, got nan"),
        ({"size": True}, r"size: Input should be a whole number, got True"),
        ({"size": np.bool_(True)}, r"size: Input should be a whole number, got .*True"),
        ({"size": None}, r"size: Input should be a whole number, got None"),
        ({"size": np.arange(3)}, r"size: Input should be a whole number, got array\(\[0, 1, 2\]\)"),
        ({"careful": 1}, r"careful: Input should be true or false, got 1"),
        ({"name": ""}, r"name: .*at least 1 character, got ''"),
        ({"many": [1, float("nan")]}, r"many\.1: Input should be a finite number, got nan"),
        ({"colour": 1, "tries": -1}, r"tries: .*got -1; rule: colour: there is no such key, got 1; known are number, "),
        ({"inner": {"dept": 1}}, r"rule: inner\.dept: there is no such key, got 1; known are depth, api_key$"),
        ({"inner": {"api_key": 7}}, r"rule: inner\.api_key: Input should be a valid string, got …$"),
        ({"limit": list(range(10**6))}, r"limit: Input should be a number, got \[0, 1, 2, 3, 4, 5, \.\.\.\]$"),
        (7, r"^rule: Input should be a valid dictionary.*, got 7$"),
    ],
)
def test_what_is_wrong_is_told_with_its_key_and_what_came(values, words):
    with pytest.raises(ValueError, match=words):
        validated(Rule, values, "rule")


def test_a_missing_key_is_named():
    class Needy(Frozen):
        uri: str

    with pytest.raises(ValueError, match=r"^tiled: uri: expected a value, got none; known are uri$"):
        validated(Needy, {}, "tiled")


def test_an_instance_is_taken_as_it_is():
    rule = Rule(size=3)
    assert validated(Rule, rule, "rule") is rule


def test_a_change_is_checked():
    rule = Rule(size=3, inner=Inner(depth=2))
    changed = rule.replace(tries=5)
    assert (changed.size, changed.tries, changed.inner, rule.tries) == (3, 5, Inner(depth=2), 2)
    with pytest.raises(ValueError, match=r"Rule: tries: .*got -1"):
        rule.replace(tries=-1)
    with pytest.raises(ValueError, match=r"Rule: trie: there is no such key"):
        rule.replace(trie=1)


def test_there_is_no_way_around_the_check():
    rule = Rule()
    with pytest.raises(TypeError, match=r"unchecked change of a Rule, got update of tries; use replace\(tries=…\)"):
        rule.model_copy(update={"tries": -1})
    with pytest.raises(ValueError, match="frozen"):
        rule.tries = -1
    assert rule.model_copy() == rule.model_copy(deep=True) == copy.deepcopy(rule) == pickle.loads(pickle.dumps(rule))


def test_the_schema_tells_kinds_and_limits():
    properties = Rule.model_json_schema()["properties"]
    assert properties["size"] == {"default": 9, "minimum": 1, "title": "Size", "type": "integer"}
    assert (properties["share"]["maximum"], properties["share"]["type"]) == (1, "number")
