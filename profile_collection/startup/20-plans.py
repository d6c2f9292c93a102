"""The plans, and agents by name: RE(curiosity(afm, agent('paper-latent'), points=50))."""

from agents.registry import build, configure, known_agents

from curio_plans import plans
from curio_plans.binding import bind
from curio_plans.stored import StoredRuns

image = plans.image
spectra_at = plans.spectra_at
grid_spectroscopy = plans.grid_spectroscopy
curiosity = bind(plans.curiosity, build=build, stored=storage.resumable)
resume = bind(plans.resume, build=build, stored=storage.resumable)
runs = StoredRuns(storage, build)
agent = configure

print(
    f"curio: RE, afm ({sample or 'simulated'}), catalog; data in {data}\n"
    "       plans image, spectra_at, grid_spectroscopy, curiosity, resume\n"
    f"       agents {', '.join(known_agents())}; begin with RE(curiosity(afm, agent('paper-latent'), points=50))"
)
