"""What a session is made of, from one small file or environment variables: instrument, limits, where runs are kept.

The file is TOML: the one that ``CURIO_SETTINGS`` names, else ``curio.toml`` in the working directory, else none. All
that it may hold::

    data = "curio-data"                  # directory of runs and metadata
    doses = "doses.jsonl"                # what tip and sample have borne, across sessions; else each counts anew

    [tiled]                              # a server to write to, instead of a catalog in that directory
    uri = "http://127.0.0.1:8000"
    api_key = "secret"                   # better: CURIO_TILED_API_KEY

    [agent_at]                           # where agents think, instead of in this process; see curio think
    address = "http://gpu:8765"
    key = "secret"                       # better: CURIO_THINK_KEY
    wait = 300.0                         # seconds, then pause, local or end; also slow and withdraw_after
    then = "pause"

    [backend]
    name = "twin"                        # twin, recorded, epics, … or "package.module:function"
    options = { seed = 3 }               # what that backend takes

    [envelope]                           # tighter limits than the instrument's own
    amplitude_max = 8.0

    [log]                                # what is logged, and where
    file = "curio.log"

    [page]                               # the page of the runs, served beside the session
    port = 8000                          # else one that is free; also host, and browser = true to open it

    [publish]                            # documents as they are emitted, through a 0MQ proxy
    zmq = "localhost:5577"

    [setup]                              # how the microscope is set at the start of a session
    pixels = 64

Environment variables come before the file: ``CURIO_DATA``, ``CURIO_TILED_URI``, ``CURIO_TILED_API_KEY``,
``CURIO_AGENT_AT``, ``CURIO_THINK_KEY``, ``CURIO_BACKEND``, ``CURIO_BACKEND_OPTIONS`` (JSON), and ``CURIO_SAMPLE``, the
file of a recorded sample.
"""

import json
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from curio_plans.rules.elsewhere import Elsewhere
from curio_plans.rules.setup import Setup

FILE = "curio.toml"
Check = Callable[[str, Mapping[str, Any]], None]
"""Raises ValueError unless there is a backend of this name that takes these options."""

Limits = Callable[[Mapping[str, Any]], Any]
"""Raises pydantic's ValidationError unless this is an envelope."""


class SettingsError(ValueError):
    """A setting is wrong; the message names its source, key, value, and what would be right."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tiled(_Table):
    """A Tiled server."""

    uri: str
    api_key: str | None = None


class Backend(_Table):
    """The instrument: the name of a backend, and its options."""

    name: str = "twin"
    options: dict[str, Any] = Field(default_factory=dict)


class Log(_Table):
    """What is logged and where; see the page about logging."""

    file: Path | None = None
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    json_lines: bool = False


class Page(_Table):
    """The page that is served beside a session; see :class:`curio_plans.session.PageBeside`."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    browser: bool = False


class Publish(_Table):
    """Where documents are published as they are emitted."""

    zmq: str
    prefix: str = ""


class AgentAt(Elsewhere):
    """Where agents think, and the key of that place."""

    key: str | None = None

    def rule(self) -> dict[str, Any]:
        """Return it without the key: what a start document keeps."""
        return self.model_dump(mode="json", exclude={"key"})


class Settings(_Table):
    """All settings; those left out have these defaults."""

    data: Path = Path("curio-data")
    doses: Path | None = None
    tiled: Tiled | None = None
    agent_at: AgentAt | None = None
    backend: Backend = Backend()
    envelope: dict[str, Any] = Field(default_factory=dict)
    setup: Setup = Setup()
    log: Log | None = None
    publish: Publish | None = None
    page: Page | None = None


_TABLES: dict[str, type[BaseModel]] = {
    "tiled": Tiled, "backend": Backend, "agent_at": AgentAt, "setup": Setup, "log": Log, "publish": Publish,
    "page": Page,
}  # fmt: skip


def load_settings(
    check: Check, limits: Limits, file: str | Path | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings from file and environment; nothing is made, nothing connects.

    Parameters
    ----------
    check : callable
        Looks at name and options of the backend; ``ophyd_devices.registry.check_backend``.
    limits : callable
        Validates the envelope; ``ophyd_devices.envelope.Envelope.model_validate``.
    file : path, optional
        Instead of ``CURIO_SETTINGS`` and ``curio.toml``.
    environment : mapping, optional
        Instead of the process's environment variables.

    Raises
    ------
    SettingsError
        If the file cannot be read, or a key or value is wrong.
    """
    environment = os.environ if environment is None else environment
    named = file or environment.get("CURIO_SETTINGS")
    path = Path(named).expanduser() if named else Path(FILE)
    content = _read(path) if named or path.exists() else {}
    overrides = _from(environment)

    def source(setting: Any) -> str:
        return "environment" if setting in overrides else str(path)

    try:
        settings = Settings.model_validate(_merged(content, overrides))
    except ValidationError as error:
        faults = (f"{source(fault['loc'][0])}: {_sentence(fault)}" for fault in error.errors())
        raise SettingsError("; ".join(faults)) from None
    try:
        limits(settings.envelope)
    except ValidationError as error:
        faults = (f"{path}: {_sentence({**fault, 'loc': ('envelope', *fault['loc'])})}" for fault in error.errors())
        raise SettingsError("; ".join(faults)) from None
    try:
        check(settings.backend.name, settings.backend.options)
    except ValueError as error:
        raise SettingsError(f"{source('backend')}: {error}") from None
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the settings {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error


def _from(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    given = {name: value for name, value in environment.items() if value}
    if "CURIO_DATA" in given:
        found["data"] = given["CURIO_DATA"]
    tiled = {
        key: given[f"CURIO_TILED_{key.upper()}"] for key in ("uri", "api_key") if f"CURIO_TILED_{key.upper()}" in given
    }
    if tiled:
        found["tiled"] = tiled
    place = {"address": given.get("CURIO_AGENT_AT"), "key": given.get("CURIO_THINK_KEY")}
    if found_place := {name: value for name, value in place.items() if value}:
        found["agent_at"] = found_place
    if "CURIO_SAMPLE" in given and "CURIO_BACKEND" in given:
        raise SettingsError("environment: CURIO_SAMPLE and CURIO_BACKEND each choose the instrument; unset one")
    if "CURIO_SAMPLE" in given:
        found["backend"] = {"name": "recorded", "options": {"path": given["CURIO_SAMPLE"]}}
    if "CURIO_BACKEND" in given:
        found["backend"] = {
            "name": given["CURIO_BACKEND"],
            "options": _options(given.get("CURIO_BACKEND_OPTIONS", "{}")),
        }
    elif "CURIO_BACKEND_OPTIONS" in given:
        raise SettingsError("environment: CURIO_BACKEND_OPTIONS needs CURIO_BACKEND beside it")
    return found


def _options(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise SettingsError(f'environment: CURIO_BACKEND_OPTIONS = {text!r} is not JSON like {{"seed": 3}}') from None


def _merged(content: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Put the environment over the file: a backend as a whole, a server and a place key by key."""
    if isinstance(content.get("agent_at"), str):
        content = {**content, "agent_at": {"address": content["agent_at"]}}
    merged = {**content, **overrides}
    for table in ("tiled", "agent_at"):
        if isinstance(content.get(table), dict) and table in overrides:
            merged[table] = {**content[table], **overrides[table]}
    if overrides.get("agent_at", {}).keys() == {"key"} and "agent_at" not in content:
        del merged["agent_at"]  # the key of a place that is not used
    return merged


def _sentence(fault: Any) -> str:
    *tables, key = fault["loc"]
    name = ".".join(str(part) for part in fault["loc"])
    value = "…" if "key" in name else repr(fault["input"])  # an API key belongs into no log
    if fault["type"] == "extra_forbidden" and tables[:1] != ["envelope"]:
        known = (_TABLES[tables[0]] if tables else Settings).model_fields
        return f"there is no setting {name} (= {value}); known are {', '.join(known)}"
    if fault["type"] == "missing":
        return f"{'.'.join(tables)} needs the setting {key}"
    return f"{name} = {value}: {fault['msg']}"
