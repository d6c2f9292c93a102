"""The plans, and agents by name: RE(curiosity(afm, 'curio', points=50)).

The queueserver checks the limits when a plan is submitted; the plans check everything when they start.
"""

from functools import partial

from agents.registry import build, configure, known_agents
from agents.registry import options as agent_options

from curio_plans import Desk, Steer, StoredRuns, plans
from curio_plans.elsewhere import connect
from curio_plans.rules import RunRequest
from curio_plans.session import bind, default, limit, limits_of, name_agent

desk = Desk()
answer = desk.answer
runs = StoredRuns(storage, build)
steer = Steer(data)

place = settings.agent_at
ways = {
    "build": build, "stored": storage.resumable, "ask": desk.ask, "steer": storage.mailbox,
    "connect": partial(connect, key=place and place.key),
}  # fmt: skip

microscope = {"annotation": "Microscope", "devices": {"Microscope": ["afm"]}}
agent_name = {"annotation": "Agent", "enums": {"Agent": known_agents()}}
agent_option = {
    "annotation": "typing.Optional[typing.Dict[AgentOption, typing.Union[None, bool, int, float, str, dict]]]",
    "enums": {"AgentOption": sorted({option for name in known_agents() for option in agent_options(name)})},
}
edges = [edge for axis in afm.scanner.scan_range for edge in axis]
places = {"min": min(edges), "max": max(edges)}
count = {"min": 1}
hook = {"annotation": "NoneType"}  # functions cannot be submitted

image = limit(plans.image, afm=microscope)
spectra_at = limit(plans.spectra_at, afm=microscope, points=places, measure=hook)
grid_spectroscopy = limit(plans.grid_spectroscopy, afm=microscope, columns=count, rows=count, area=places, measure=hook)
curiosity = limit(
    name_agent(default(bind(plans.curiosity, **ways), agent_at=place and place.rule()), configure),
    afm=microscope,
    agent=agent_name,
    options=agent_option,
    measure=hook,
    escalate=hook,
    **limits_of(RunRequest),
)
resume = limit(
    bind(plans.resume, **ways),
    afm=microscope,
    measure=hook,
    escalate=hook,
)
agent = configure

print(
    f"curio: RE, afm ({settings.backend.name}), catalog; data in {data}\n"
    "       plans image, spectra_at, grid_spectroscopy, curiosity, resume\n"
    f"       agents {', '.join(known_agents())}; start with RE(curiosity(afm, 'curio', points=50))"
    + (f"\n       {no_plots}" if no_plots else "")
)
