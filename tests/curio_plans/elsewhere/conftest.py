import pytest

from curio_plans.elsewhere import connect
from curio_plans.rules import Elsewhere


@pytest.fixture
def remote():
    """Makes an agent that thinks at an address; closed at the end."""
    agents = []

    def make(address, config, key=None, **rule):
        agents.append(connect(Elsewhere(address=address, **rule), key)(config))
        return agents[-1]

    yield make
    for agent in agents:
        agent.close()
