"""The options of agents: what a config holds, what is accepted, and what is said of each."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import jsonschema
import numpy as np
import pytest
from pydantic import Field

from agents import registry
from agents.options import describe, schema
from agents.protocols import Agent
from agents.registry import build, configure, describe_options, known_agents, options, options_schema

STORED = (Path(__file__).parent / "configs-0.1.jsonl").read_text().splitlines()
"""Configs as start documents of version 0.1 store them: the defaults of its seventeen agents, then some others."""

DEFAULTS = STORED[:17]
OURS = [json.loads(line)["agent"] for line in DEFAULTS]


@pytest.mark.parametrize("line", DEFAULTS, ids=OURS)
def test_a_default_config_is_that_of_version_0_1_in_the_same_order(line):
    config = configure(json.loads(line)["agent"])
    if config["agent"] == "curio":  # since version 0.2 it averages two descriptions of the surroundings
        config["surroundings"] = "rings"
    assert json.dumps(config) == line


@pytest.mark.parametrize("line", STORED)
def test_a_config_of_a_stored_run_still_builds_and_stays_as_it_is(line):
    assert json.dumps(dict(build(json.loads(line)).config)) == line


def test_all_agents_of_version_0_1_are_still_there():
    assert len(set(OURS)) == 17
    assert set(OURS) <= set(known_agents())


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"seed": np.int64(3)}, 3),
        ({"seed": np.uint8(3)}, 3),
        ({"seed": 3.0}, 3),
        ({"seed": np.float32(3)}, 3),
        ({"seed": 2**70}, 2**70),
        ({"travel": 300}, 300.0),
        ({"travel": np.int32(300)}, 300.0),
        ({"travel": np.float64(0.5)}, 0.5),
        ({"robust": np.False_}, False),
        ({"choice": np.str_("random")}, "random"),
    ],
)
def test_numbers_of_numpy_and_whole_floats_count_as_numbers(chosen, expected):
    config = configure("curio", **chosen)
    (name,) = chosen
    assert config[name] == expected
    assert type(config[name]) is type(expected)
    assert json.loads(json.dumps(config)) == config


@pytest.mark.parametrize(
    ("name", "chosen", "words"),
    [
        ("paper-latent", {"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ("paper-latent", {"seed": 1.5}, "seed must be a whole number of at least 0, got 1.5"),
        ("paper-latent", {"seed": True}, "seed must be a whole number of at least 0, got True"),
        ("paper-latent", {"seed": np.True_}, "seed must be a whole number of at least 0, got np.True_"),
        ("paper-latent", {"seed": "3"}, "seed must be a whole number of at least 0, got '3'"),
        ("paper-latent", {"seed": None}, "seed must be a whole number of at least 0, got None"),
        ("paper-latent", {"seed": float("nan")}, "seed must be a whole number of at least 0, got nan"),
        ("paper-latent", {"seed": float("inf")}, "seed must be a whole number of at least 0, got inf"),
        ("paper-latent", {"initial": 1}, "initial must be a whole number of at least 2, got 1"),
        ("curio", {"initial": 3}, "initial must be a whole number of at least 4, got 3"),
        ("paper-latent", {"threads": 0}, "threads must be a whole number of at least 1, got 0"),
        ("paper-latent", {"filters": "many"}, "filters must be a whole number of at least 1, got 'many'"),
        ("paper-latent", {"start": "grid"}, "start must be one of k-means, random, got 'grid'"),
        ("paper-latent", {"choice": "worst"}, "choice must be one of largest, best-ten, got 'worst'"),
        ("paper-latent", {"choice": 3}, "choice must be one of largest, best-ten, got 3"),
        (
            "paper-latent",
            {"error_target": "future"},
            r"error_target must be one of current, before\+after, got 'future'",
        ),
        ("paper-latent", {"random_probability": 1.1}, "random_probability must be a number between 0 and 1, got 1.1"),
        ("paper-latent", {"decay": -1}, "decay must be a number between 0 and 1000, got -1"),
        ("paper-latent", {"decay": True}, "decay must be a number between 0 and 1000, got True"),
        ("paper-latent", {"decay": float("nan")}, "decay must be a number between 0 and 1000, got nan"),
        ("paper-ensemble", {"beta": 1.5}, "beta must be a number between 0 and 1, got 1.5"),
        ("paper-ensemble", {"retrain": -0.1}, "retrain must be a number between 0 and 1, got -0.1"),
        ("paper-ensemble", {"sharpness": 0}, "sharpness must be a number between 0.001 and 1000, got 0"),
        ("paper-latent-mcd", {"spread_during": "never"}, "spread_during must be one of exploration, run, got 'never'"),
        ("theory", {"mismatch": "total"}, "mismatch must be one of fit, prediction, got 'total'"),
        ("latent-careful", {"patience": 0}, "patience must be a whole number of at least 1, got 0"),
        ("farthest-point", {"space": "outer"}, "space must be one of position, patch, got 'outer'"),
        ("deep-kernel", {"target": "beauty"}, "target must be one of mean, range, got 'beauty'"),
        ("curio", {"travel": float("inf")}, r"travel must be a number between 0 and 1e\+09, got inf"),
        ("curio", {"robust": 1}, "robust must be true or false, got 1"),
        ("curio", {"position": "no"}, "position must be true or false, got 'no'"),
        ("plateau-escape", {"remedy": "hope"}, "remedy must be one of avoid-similar, noise, ask, got 'hope'"),
        ("plateau-escape", {"inner": "random"}, "inner must be a mapping or none, got 'random'"),
        ("plateau-escape", {"inner": {"agent": "random"}}, "a loss that can stop falling; 'random' has none"),
        ("plateau-escape", {"inner": {"agent": "bold"}}, "no agent 'bold'; known are"),
        ("plateau-escape", {"inner": {"decay": -1}}, "decay must be a number between 0 and 1000, got -1"),
        ("random", {"initial": 3}, "'random' has no option initial; it takes seed"),
        ("grid", {"seed": 3}, "'grid' has no option seed; it takes none"),
    ],
)
def test_what_an_agent_does_not_take_is_refused_with_what_it_takes(name, chosen, words):
    with pytest.raises(ValueError, match=words):
        configure(name, **chosen)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(ValueError, match=r"initial must be .*, got 1; decay must be .*, got -1$"):
        configure("paper-latent", initial=1, seed=2, decay=-1)


@pytest.mark.parametrize("name", OURS)
def test_each_option_says_what_it_does_and_what_it_must_be(name):
    described = describe_options(name)
    assert {key: option.default for key, option in described.items()} == options(name)
    for option in described.values():
        assert len(option.help) > 15
        assert option.help.endswith(".")
        assert option.expected


@pytest.mark.parametrize("name", OURS)
def test_the_schema_of_the_options_takes_the_defaults_and_refuses_others(name):
    found = json.loads(json.dumps(options_schema(name)))
    chosen = {key: value for key, value in configure(name).items() if key != "agent"}
    jsonschema.Draft202012Validator.check_schema(found)
    jsonschema.validate(chosen, found)
    assert found["title"] == name
    assert len(found["description"]) > 20
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**chosen, "bogus": 1}, found)
    if "seed" in chosen:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**chosen, "seed": -1}, found)


def test_what_is_said_of_an_option():
    option = describe_options("curio")["checks"]
    assert (option.default, option.expected) == (10, "a whole number of at least 0")
    assert option.help.startswith("Every so many points")


class Special:
    """A type that JSON does not know."""


def plain(*, seed: int = 0, place: Special | None = None, anything=(1, 2)) -> Agent:
    """Another lab's recipe, which knows nothing of pydantic."""


def annotated(*, share: Annotated[float, Field(ge=0, le=1, description="Of something.")] = 0.5) -> Agent:
    """Another lab's recipe, which tells more."""


def test_a_plain_function_tells_what_it_can():
    assert {key: (each.default, each.expected, each.help) for key, each in describe(plain).items()} == {
        "seed": (0, "a whole number", ""),
        "place": (None, "", ""),
        "anything": ((1, 2), "", ""),
    }
    assert describe(annotated)["share"].expected == "a number between 0 and 1"
    assert describe(annotated)["share"].help == "Of something."
    jsonschema.Draft202012Validator.check_schema(schema(plain))
    jsonschema.validate({"seed": 3}, schema(plain))


PACKAGE = """
from agents.base import BaseAgent


def stranger(*, seed=0, mood="calm"):
    if mood not in ("calm", "bold"):
        raise ValueError(f"mood must be calm or bold, got {mood!r}")
    return BaseAgent({"agent": "stranger", "seed": seed, "mood": mood})
"""


def test_an_agent_that_is_installed_while_a_session_runs_is_found(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    assert "stranger" not in known_agents()
    (tmp_path / "stranger.py").write_text(PACKAGE)
    installed = tmp_path / "stranger-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[curio.agents]\nstranger = stranger:stranger\n")
    assert "stranger" in known_agents()
    assert options("stranger") == {"seed": 0, "mood": "calm"}
    assert configure("stranger", mood="bold") == {"agent": "stranger", "seed": 0, "mood": "bold"}
    assert list(options_schema("stranger")["properties"]) == ["seed", "mood"]
    with pytest.raises(ValueError, match="mood must be calm or bold, got 'sad'"):
        configure("stranger", mood="sad")
    with pytest.raises(ValueError, match="'stranger' has no option initial; it takes seed, mood"):
        configure("stranger", initial=3)


def test_entry_points_are_searched_once(monkeypatch):
    known_agents()
    monkeypatch.setattr(registry, "entry_points", lambda **_: pytest.fail("searched again"))
    assert "random" in known_agents()
    assert options("random") == {"seed": 0}


def test_agents_and_options_are_listed_without_what_agents_compute_with():
    code = """
import sys
import agents.protocols, agents.pool, agents.registry
heavy = {"torch", "sklearn", "scipy", "gpytorch"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert "pydantic" not in sys.modules
from agents.registry import *
for name in OURS:
    options(name), describe_options(name), options_schema(name)
assert not heavy & set(sys.modules), heavy & set(sys.modules)
build({"agent": "random"}), build({"agent": "grid"})
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", f"OURS = {OURS}\n{code}"], check=True)
