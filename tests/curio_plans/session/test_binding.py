import inspect

import pytest
from bluesky.simulators import check_limits
from bluesky.utils import Plan
from bluesky_queueserver import parameter_annotation_decorator
from bluesky_queueserver.manager.profile_ops import existing_plans_and_devices_from_nspace
from support import measure

from curio_plans.plans import curiosity
from curio_plans.rules.request import RunRequest
from curio_plans.session.binding import bind, limit, limits_of, name_agent


def configure(name, **chosen):
    if name != "wanderer" or set(chosen) - {"seed", "initial"}:
        raise ValueError(f"there is no agent {name!r} with {sorted(chosen)}")
    return {"agent": name, "seed": 0, "initial": 0, **chosen}


@pytest.fixture
def explore(wanderer):
    return name_agent(bind(curiosity, build=wanderer, measure=None), configure)


@pytest.mark.parametrize(
    ("agent", "options", "seed"),
    [("wanderer", None, 0), ("wanderer", {"seed": 4}, 4), ({"agent": "wanderer", "seed": 5}, None, 5)],
)
def test_an_agent_is_a_name_with_options_or_a_config(explore, agent, options, seed):
    start = measure(explore, agent, 2, options=options)[0][1]
    assert start["agent"] == {"agent": "wanderer", "seed": seed, "initial": 0}


def test_it_still_looks_like_the_plan(afm, explore):
    plan = explore(afm, "wanderer", 2)
    assert isinstance(plan, Plan)
    check_limits(plan)
    parameters = inspect.signature(explore).parameters
    assert list(parameters)[:3] == ["afm", "agent", "points"]
    assert "options" in parameters
    assert not {"build", "measure"} & set(parameters)
    assert "Image, then again and again ask an agent" in explore.__doc__
    assert "``options`` are options of that agent" in explore.__doc__


def test_a_wrong_agent_is_refused_before_anything_moves(afm, engine, documents, explore):
    for agent, options in (("bold", None), ("wanderer", {"colour": 3})):
        with pytest.raises(ValueError, match="there is no agent"):
            engine(explore(afm, agent, 2, options=options))
    assert documents == []


def test_limits_come_from_the_schema_of_a_request(explore):
    limits = limits_of(RunRequest)
    assert limits["points"] == limits["stride"] == {"min": 1}
    assert limits["window"] == {"min": 3}
    assert limits["window_nm"] == {"min": 0}
    assert limits["lookahead"] == {"min": 0, "max": 1}
    assert limits["think_timeout"] == {"min": 0}
    assert set(limits) == {"points", "window", "window_nm", "stride", "lookahead", "map_every", "think_timeout"}
    assert limit(explore, **limits)._custom_parameter_annotation_ == {"parameters": limits}


def test_a_limited_plan_leaves_the_original_as_it_is(explore):
    assert limit(explore, points={"min": 1}) is not explore
    assert not hasattr(explore, "_custom_parameter_annotation_")


def test_limits_are_written_as_the_queueserver_reads_them(explore):
    limits = {"points": {"min": 1}, "agent": {"annotation": "Agent", "enums": {"Agent": ["wanderer"]}}}
    theirs = parameter_annotation_decorator({"parameters": limits})(explore)
    found, *_ = existing_plans_and_devices_from_nspace(nspace={"ours": limit(explore, **limits), "theirs": theirs})
    ours, theirs = ({part["name"]: part for part in found[name]["parameters"]} for name in ("ours", "theirs"))
    assert ours == theirs
    assert ours["points"]["min"] == "1"
    assert ours["agent"]["annotation"]["enums"] == {"Agent": ["wanderer"]}
    with pytest.raises(TypeError, match="curiosity has no argument colour"):
        limit(explore, colour={"min": 1})
