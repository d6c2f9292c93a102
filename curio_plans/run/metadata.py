"""The metadata of a run, as it goes into the start document."""

from collections.abc import Mapping
from typing import Any

from curio_plans.documents.start import FORMAT, PROVENANCE, RESERVED, git_state, sealed, versions
from curio_plans.run.microscope import Microscope


def run_metadata(
    afm: Microscope, plan_name: str, plan_args: Mapping[str, Any], md: Mapping[str, Any] | None, **more: Any
) -> dict[str, Any]:
    """Return the metadata of a run.

    Parameters
    ----------
    afm : Microscope
        Names itself and describes its sample.
    plan_name, plan_args
        What was asked for.
    md : mapping, optional
        The user's free metadata; it is not changed. What it has as ``experiment`` is checked, see
        :class:`curio_plans.documents.experiment.Experiment`.
    more
        What belongs to this plan alone.

    Raises
    ------
    ValueError
        If `md` has a key of :data:`RESERVED`, a value that could not be read back, or an experiment that is none.
    """
    taken = sorted({*(md or {})} & {*RESERVED, PROVENANCE})
    if taken:
        raise ValueError(f"md must not set {', '.join(taken)}: a replay relies on them; choose other names")
    own = {
        "plan_name": plan_name,
        "plan_args": dict(plan_args),
        "microscope": afm.name,
        "sample": dict(afm.describe_sample()),
        "versions": dict(versions()),
        "git": git_state(),
        "curio_format": FORMAT,
        "detectors": [afm.imager.name, afm.spectrometer.name],
        "motors": [afm.scanner.name],
        **more,
    }
    return sealed({**own, **(md or {})})
