"""The command schema: JSON schemas of the values that curio takes, for a GUI or an editor."""

import json
from importlib import import_module
from typing import Annotated

import typer

from curio_plans.cli.output import console

SCHEMAS = {
    "run": ("curio_plans.rules.request", "RunRequest"),
    "quality": ("curio_plans.rules.quality", "Quality"),
    "drift": ("curio_plans.rules.drift", "DriftCorrection"),
    "until": ("curio_plans.rules.stopping", "StoppingRule"),
    "setup": ("curio_plans.rules.setup", "Setup"),
    "escalation": ("curio_plans.rules.escalation", "EscalationRule"),
    "experiment": ("curio_plans.documents.experiment", "Experiment"),
    "settings": ("curio_plans.session.settings", "Settings"),
}


def schema(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(SCHEMAS)}.")] = "run",
) -> None:
    """Print the JSON schema of a value, such as the arguments of a run.

    For a form, an editor, or a program that submits runs:

        curio schema run
        curio schema until
    """
    if name not in SCHEMAS:
        raise ValueError(f"expected one of {', '.join(SCHEMAS)}, got {name!r}")
    module, kind = SCHEMAS[name]
    found = getattr(import_module(module), kind).model_json_schema()
    console.print(json.dumps(found, indent=2), markup=False, highlight=False, soft_wrap=True)
