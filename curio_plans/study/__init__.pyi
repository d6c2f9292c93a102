from .common import AnalysisError, Build, ReplayError, rebuild_agent
from .counterfactual import Counterfactual, counterfactual
from .errors import belief_maps, error_curve
from .evaluation import Curve, Evaluation, evaluate, evaluation_rows, learning_curve
from .explain import ExplainError, Explanation, explain
from .latent import latent_clusters
from .measured import measured_image, measured_points
from .patches import patch_sizes
from .points import acquisitions
from .replay import Difference, Verdict, verify

__all__ = [
    "AnalysisError",
    "Build",
    "Counterfactual",
    "Curve",
    "Difference",
    "Evaluation",
    "ExplainError",
    "Explanation",
    "ReplayError",
    "Verdict",
    "acquisitions",
    "belief_maps",
    "counterfactual",
    "error_curve",
    "evaluate",
    "evaluation_rows",
    "explain",
    "latent_clusters",
    "learning_curve",
    "measured_image",
    "measured_points",
    "patch_sizes",
    "rebuild_agent",
    "verify",
]
