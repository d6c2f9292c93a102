"""Metadata from the command line: a file that describes the experiment, and single values."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

METADATA = "Metadata"
ExperimentFile = Annotated[
    Path | None,
    typer.Option(
        "--experiment",
        help="YAML or JSON file that describes the experiment: title, sample, tip, operator, proposal …",
        rich_help_panel=METADATA,
    ),
]
Metadata = Annotated[
    list[str] | None,
    typer.Option(
        "--md",
        help="One piece of metadata, such as experiment.operator=Ada or experiment.sample.name=PTO-7; repeatable.",
        metavar="NAME=VALUE",
        rich_help_panel=METADATA,
    ),
]

_SET_BY_ENGINE = ("uid", "time")


def read_metadata(experiment: Path | None, pairs: Sequence[str]) -> dict[str, Any]:
    """Return the metadata that the options `--experiment` and `--md` give; `--md` takes precedence.

    Raises
    ------
    ValueError
        If a pair is none, or the file cannot be read or does not describe an experiment.
    """
    from curio_plans.documents.start import normalise

    md: dict[str, Any] = {} if experiment is None else {"experiment": _read(experiment)}
    for pair in pairs:
        path, found, text = pair.partition("=")
        *parents, name = path.split(".")
        if path.partition(".")[0] in _SET_BY_ENGINE:
            raise ValueError(f"--md {pair}: uid and time of a run come from the RunEngine; choose another name")
        if not found or not all((*parents, name)):
            raise ValueError(f"expected --md name=value or part.name=value, got {pair!r}; write for example title=PTO")
        place = md
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ValueError(f"--md {pair}: {parent!r} is {place!r} already and has no parts; drop one of the two")  # noqa: TRY004
        place[name] = value(text)
    return normalise(md)


def value(text: str) -> Any:
    """Return `text` as the JSON value that it is, or else as it is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _read(path: Path) -> Any:
    import yaml

    try:
        block = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read --experiment {path}: {error.strerror}; name a YAML or JSON file") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(
            f"{path}: expected YAML or JSON that describes an experiment, got: {error}; mend it"
        ) from error
    if not isinstance(block, dict):
        raise ValueError(  # noqa: TRY004
            f"{path}: expected names and values that describe an experiment, got {block!r}; write lines like title: PTO"
        )
    return block
