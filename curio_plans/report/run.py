"""A stored run in a notebook: its numbers, its figure, and what a reader wants first."""

import base64
import html
import io
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import xarray
from matplotlib.figure import Figure

from curio_plans.documents.history import History
from curio_plans.report.overview import figure
from curio_plans.report.summary import ReportError, summary
from curio_plans.store.storage import Storage
from curio_plans.study.measured import measured_image, measured_points


class Run:
    """A run, of whatever plan; a notebook shows it as a table with its figure.

    Parameters
    ----------
    documents : iterable of (name, document)
        Of the run, after those of the runs that it resumes: :meth:`curio_plans.Storage.lineage`.

    Examples
    --------
    >>> run = Run.open("curio-data")  # doctest: +SKIP
    >>> run.points.spectrum.isel(point=0).plot(x="bias")  # doctest: +SKIP
    """

    def __init__(self, documents: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        self.history = History(documents)

    @classmethod
    def open(cls, data: Path | str | Storage, uid: str = "latest") -> Self:
        """Return a stored run.

        Parameters
        ----------
        data : path or Storage
            The data directory, or where runs are stored.
        uid : str
            As in :meth:`curio_plans.Storage.resolve`: also the beginning of one, or ``latest``.

        Raises
        ------
        LookupError
            If there is none, or several.
        StorageError
            If it cannot be read.
        """
        if isinstance(data, Storage):
            return cls(data.lineage(uid))
        with Storage.local(data, writable=False) as storage:
            return cls(storage.lineage(uid))

    @cached_property
    def points(self) -> xarray.Dataset:
        """The good spectra with units and coordinates; see :func:`curio_plans.study.measured_points`."""
        return measured_points(self.history)

    @cached_property
    def image(self) -> xarray.Dataset:
        """The first image, a variable per channel; see :func:`curio_plans.study.measured_image`."""
        return measured_image(self.history)

    @property
    def summary(self) -> dict[str, str]:
        """The facts that a reader wants first."""
        return summary(self.history)

    def figure(self) -> Figure:
        """Draw the run; see :func:`curio_plans.report.figure`."""
        return figure(self.history)

    def __repr__(self) -> str:
        """Return the facts, one a line."""
        return "\n".join(f"{label:<16} {text}" for label, text in self.summary.items())

    def _repr_html_(self) -> str:
        """Return the facts as a table, with the figure below."""
        rows = "".join(
            f'<tr><th style="text-align: left">{html.escape(label)}</th>'
            f'<td style="text-align: left">{html.escape(text)}</td></tr>'
            for label, text in self.summary.items()
        )
        return f"<table>{rows}</table>{self._picture()}"

    def _picture(self) -> str:
        try:
            drawn = self.figure()
        except ReportError:
            return ""
        file = io.BytesIO()
        drawn.savefig(file, format="png", dpi=80)
        picture = base64.b64encode(file.getvalue()).decode()
        return f'<img alt="the run" style="max-width: 100%" src="data:image/png;base64,{picture}">'
