"""What only people know of an experiment: sample, tip, operator, proposal. Checked before anything moves.

It stands in the start document as ``experiment``: ``md={"experiment": {...}}`` or ``RE.md["experiment"] = {...}``.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue

from curio_plans.validation import Frozen, Positive, Text, validated


class ExperimentError(ValueError):
    """A description of an experiment that does not say what it should."""


class _Block(Frozen):
    model_config = ConfigDict(str_strip_whitespace=True)

    more: dict[str, JsonValue] = Field(default_factory=dict)
    """Whatever else is worth keeping."""


class Sample(_Block):
    """The sample.

    Attributes
    ----------
    name : str
        What is written on its box.
    formula : str or None
        Chemical formula, e.g. ``PbTiO3``.
    thickness : float or None
        Of the film, in nm.
    preparation : str or None
        How it was made.
    more : dict
        Free keys.
    """

    name: Text
    formula: Text | None = None
    thickness: Positive | None = None
    preparation: Text | None = None


class Tip(_Block):
    """The tip and its cantilever.

    Attributes
    ----------
    name : str
        The model, or what is written on its box.
    coating : str or None
        e.g. ``Pt/Ir``.
    spring_constant : float or None
        In nN/nm, which is N/m.
    resonance : float or None
        In Hz, free.
    radius : float or None
        In nm.
    more : dict
        Free keys.
    """

    name: Text
    coating: Text | None = None
    spring_constant: Positive | None = None
    resonance: Positive | None = None
    radius: Positive | None = None


def _named(value: Any) -> Any:
    """Let a text stand for something of that name."""
    return {"name": value} if isinstance(value, str) else value


class Experiment(_Block):
    """What people know of an experiment. Each part may be missing; names that are not listed here are refused.

    Attributes
    ----------
    title : str or None
        What it is about.
    sample : Sample or None
        Or a text, its name.
    tip : Tip or None
        Or a text, its name.
    operator : str or None
        Who measured.
    proposal : str or None
        Number of the proposal or project.
    institution : str or None
        Where.
    comment : str or None
        What else a reader should know.
    more : dict
        Free keys: anything that JSON can hold.
    """

    title: Text | None = None
    sample: Annotated[Sample | None, BeforeValidator(_named)] = None
    tip: Annotated[Tip | None, BeforeValidator(_named)] = None
    operator: Text | None = None
    proposal: Text | None = None
    institution: Text | None = None
    comment: Text | None = None


def check_experiment(block: Mapping[str, Any] | Experiment) -> dict[str, Any]:
    """Return the description of an experiment as the start document keeps it: plain values, without what is missing.

    Raises
    ------
    ExperimentError
        If a name is unknown, or a value is not of its kind.
    """
    try:
        experiment = validated(Experiment, block, "experiment")
    except ValueError as error:
        more = "; free keys go into 'more'" if "there is no such key" in str(error) else ""
        raise ExperimentError(f"{error}{more}") from None
    return experiment.model_dump(mode="json", exclude_defaults=True)
