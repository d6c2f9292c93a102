import pytest

from agents.registry import UnknownAgentError, build, configure, describe_options, known_agents, options


def test_known_agents_are_found_by_name():
    assert {"paper-latent", "random", "grid"} <= set(known_agents())


@pytest.mark.parametrize("ask", [lambda name: build({"agent": name}), configure, options, describe_options])
def test_an_unknown_agent_is_refused_with_the_known_ones(ask):
    with pytest.raises(UnknownAgentError, match=r"no agent 'bold'; known are .*grid, .*paper-latent, .*random"):
        ask("bold")


def test_a_config_needs_a_name():
    with pytest.raises(ValueError, match="expected a config"):
        build({"seed": 1})


def test_options_and_their_defaults_can_be_listed():
    assert options("random") == {"seed": 0}
    assert configure("paper-latent")["initial"] == options("paper-latent")["initial"] == 30
