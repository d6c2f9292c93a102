"""What a run tells beyond its losses: latent space, acquisitions, beliefs against truth, the size of the patch.

Each function reads a :class:`~curio_plans.documents.History`, returns an :class:`xarray.Dataset` and draws nothing;
:mod:`curio_plans.report.figures` draws them. What an agent does not put into documents – its latent space – comes from
the agent itself, rebuilt by the same fold over the records as in a replay.
"""

from curio_plans.analysis.base import AnalysisError, Build, rebuild_agent
from curio_plans.analysis.errors import belief_maps, error_curve
from curio_plans.analysis.latent import latent_clusters
from curio_plans.analysis.patches import patch_sizes
from curio_plans.analysis.points import acquisitions

__all__ = [
    "AnalysisError",
    "Build",
    "acquisitions",
    "belief_maps",
    "error_curve",
    "latent_clusters",
    "patch_sizes",
    "rebuild_agent",
]
