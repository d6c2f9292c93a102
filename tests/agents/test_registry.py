import pytest

from agents.registry import UnknownAgentError, build, configure, known_agents, options


def test_known_agents_are_found_by_name():
    assert {"paper-latent", "random", "grid"} <= set(known_agents())


def test_an_unknown_agent_is_refused_with_the_known_ones():
    with pytest.raises(UnknownAgentError, match=r"no agent 'bold'; known are .*grid, .*paper-latent, .*random"):
        build({"agent": "bold"})


def test_a_config_needs_a_name():
    with pytest.raises(ValueError, match="expected a config"):
        build({"seed": 1})


def test_an_unknown_option_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'random' has no option initial; it takes seed"):
        configure("random", initial=3)
    with pytest.raises(ValueError, match="it takes none"):
        configure("grid", seed=3)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"seed": True}, "seed must be a whole number"),
        ({"initial": 1}, "initial must be a whole number of at least 2"),
        ({"threads": 0}, "threads must be a whole number of at least 1"),
        ({"filters": "many"}, "filters must be a whole number"),
        ({"start": "grid"}, "start must be one of k-means, random, got 'grid'"),
        ({"choice": "worst"}, "choice must be one of largest, best-ten"),
        ({"error_target": "future"}, "error_target must be one of current, before"),
        ({"random_probability": 1.1}, "random_probability must be a number between 0 and 1"),
        ({"decay": -1}, "decay must be a number between 0 and 1000"),
        ({"decay": float("nan")}, "decay must be a number"),
    ],
)
def test_options_out_of_range_are_refused(chosen, words):
    with pytest.raises(ValueError, match=words):
        configure("paper-latent", **chosen)


def test_options_and_their_defaults_can_be_listed():
    assert options("random") == {"seed": 0}
    assert configure("paper-latent")["initial"] == options("paper-latent")["initial"] == 30
