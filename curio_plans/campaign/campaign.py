"""A campaign as one frozen value, from a TOML file, and the jobs that it consists of."""

import functools
import hashlib
import itertools
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from agents.protocols import Config
from curio_plans.rules.request import RunRequest
from curio_plans.validation import Frozen, NonNegativeWhole, PositiveWhole, validated

Complete = Callable[[Config], Config]
"""Takes a config of an agent; returns it in full, or raises ValueError."""

Check = Callable[[str, Mapping[str, Any]], None]
"""Raises ValueError unless there is a backend of this name that takes these options."""

Seeds = Annotated[tuple[NonNegativeWhole, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Job:
    """One run of a campaign: everything that its numbers depend on, as plain values.

    Attributes
    ----------
    agent : mapping
        The agent's config in full.
    backend, options, pixels
        The simulated or recorded instrument, and the side of its image in px; None for its own.
    run : mapping
        Arguments of the plan ``curiosity``.
    labels : mapping
        What the table calls agent, sample, settings and seed.
    """

    agent: Mapping[str, Any]
    backend: str
    options: Mapping[str, Any]
    pixels: int | None
    run: Mapping[str, Any]
    labels: Mapping[str, Any] = field(compare=False)

    @functools.cached_property
    def name(self) -> str:
        """Unique for what is computed: labels and places of files do not count, contents of files do."""
        facts = asdict(self)
        del facts["labels"]
        facts["options"] = {key: _identity(value) for key, value in self.options.items()}
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        """Return the labels."""
        return ", ".join(
            f"{key} {value}" if key == "seed" else str(value) for key, value in self.labels.items() if value != ""
        )


class _Labelled(Frozen):
    """A table of the file whose other keys are options."""

    model_config = ConfigDict(extra="allow")
    label: str = ""

    @property
    def given(self) -> dict[str, Any]:
        """The options."""
        return dict(self.__pydantic_extra__ or {})


class AgentEntry(_Labelled):
    """An agent: its name and its options."""

    agent: str


class SampleEntry(_Labelled):
    """A sample: a `file` of measured data, or a `twin` with its options; `pixels` is the side of the image."""

    file: Path | None = None
    twin: dict[str, Any] | None = None
    pixels: PositiveWhole | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.file is None) == (self.twin is None):
            raise ValueError("expected either file or twin")
        if self.twin is not None and self.given:
            raise ValueError(f"options of a twin belong into twin = {{…}}: {', '.join(self.given)}")
        return self


class SettingsEntry(_Labelled):
    """Arguments of the plan ``curiosity``."""


class Campaign(Frozen):
    """What a file says: every agent on every sample with all settings and seeds.

    Attributes
    ----------
    agents : tuple of AgentEntry
        A name alone is enough.
    samples : tuple of SampleEntry
        The name of a file alone, or ``"twin"``, is enough.
    seeds : tuple of int
        Of agents, and of twins without a seed of their own. A whole number n means 0 … n − 1.
    run : mapping
        Arguments of the plan ``curiosity`` for all runs.
    settings : tuple of SettingsEntry
        Further ones; each is a variant.
    """

    agents: Annotated[tuple[AgentEntry, ...], Field(min_length=1)]
    samples: Annotated[tuple[SampleEntry, ...], Field(min_length=1)]
    seeds: Seeds = (0,)
    run: dict[str, Any] = Field(default_factory=dict)
    settings: Annotated[tuple[SettingsEntry, ...], Field(min_length=1)] = (SettingsEntry(),)

    @field_validator("agents", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return [{"agent": each} if isinstance(each, str) else each for each in value] if _several(value) else value

    @field_validator("samples", mode="before")
    @classmethod
    def _files(cls, value: Any) -> Any:
        if not _several(value):
            return value
        return [
            ({"twin": {}} if each == "twin" else {"file": each}) if isinstance(each, str) else each for each in value
        ]

    @field_validator("seeds", mode="before")
    @classmethod
    def _count(cls, value: Any) -> Any:
        return tuple(range(value)) if isinstance(value, int) and not isinstance(value, bool) else value

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the campaign in a TOML file; its files are looked for beside it.

        Raises
        ------
        ValueError
            If it cannot be read, or a key or value is wrong.
        """
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"cannot read the campaign {path}: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path} is not TOML: {error}") from error
        campaign = validated(cls, content, str(path))
        beside = [
            each if each.file is None else each.replace(file=(path.parent / each.file).resolve())
            for each in campaign.samples
        ]
        return campaign.replace(samples=beside)

    def jobs(self, complete: Complete, check: Check) -> list[Job]:
        """Return all runs, seeds outermost: a campaign that is interrupted has compared like with like.

        An agent without a seed runs once on a sample whose numbers do not depend on the seed either.

        Parameters
        ----------
        complete : callable
            Completes the config of an agent.
        check : callable
            Looks at name and options of a backend; ``ophyd_devices.registry.check_backend``.

        Raises
        ------
        ValueError
            If an agent, a sample or the arguments of a run are wrong, or two jobs are the same.
        """
        found: dict[str, Job] = {}
        for seed, sample, settings, agent in itertools.product(self.seeds, self.samples, self.settings, self.agents):
            config = self._config(agent, seed, complete)
            backend, options = self._instrument(sample, seed, check)
            request = {**self.run, **settings.given}
            validated(RunRequest, {**request, "agent": dict(config)}, settings.label or "run")
            labels = {
                "agent": agent.label or self._spelled(agent.agent, agent.given),
                "sample": sample.label or self._place(sample),
                "settings": settings.label or self._spelled("", settings.given),
                "seed": seed,
            }
            job = Job(config, backend, options, sample.pixels, request, labels)
            if found.setdefault(job.name, job) is not job and found[job.name].labels["seed"] == seed:
                raise ValueError(f"expected each run once, got twice: {job}; is an agent or sample listed twice?")
        return list(found.values())

    def _config(self, agent: AgentEntry, seed: int, complete: Complete) -> Config:
        chosen = {"agent": agent.agent, **agent.given}
        takes_seed = "seed" in complete({"agent": agent.agent})
        return complete({**({"seed": seed} if takes_seed else {}), **chosen})

    def _instrument(self, sample: SampleEntry, seed: int, check: Check) -> tuple[str, dict[str, Any]]:
        backend, options = "twin", {"seed": seed, **(sample.twin or {})}
        if sample.twin is None:
            backend, options = "recorded", {"path": str(sample.file), **sample.given}
            if not Path(str(sample.file)).is_file():
                raise ValueError(f"there is no sample file {sample.file}")
        check(backend, options)
        return backend, options

    def _place(self, sample: SampleEntry) -> str:
        return sample.file.stem if sample.file is not None else self._spelled("twin", sample.twin or {})

    @staticmethod
    def _spelled(name: str, options: Mapping[str, Any]) -> str:
        return ", ".join([*filter(None, [name]), *(f"{key}={value}" for key, value in options.items())])


def _several(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _identity(value: Any) -> Any:
    """Return the digest of a file, which stays the same when it is moved; any other value as it is."""
    path = Path(value) if isinstance(value, str | Path) and value != "" else None
    return _digest(path, path.stat().st_mtime_ns) if path is not None and path.is_file() else value


@functools.cache
def _digest(path: Path, _: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
