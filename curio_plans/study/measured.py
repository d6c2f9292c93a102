"""What a run measured, as labelled arrays: any run with spectra or images, of whatever plan."""

import re
from typing import Any

import numpy as np
import xarray

from curio_plans.documents.history import History
from curio_plans.documents.streams import IMAGE, Point
from curio_plans.study.common import AnalysisError


def measured_points(history: History) -> xarray.Dataset:
    """Return the good spectra of a run.

    Returns
    -------
    xarray.Dataset
        Along ``point``, in the order of measuring: ``spectrum`` (point, step), named after what is measured where the
        run says that, and for a run of an agent ``candidate``, ``phase`` and ``score``. Coordinates ``x`` and ``y`` in
        nm, ``time``, when it was recorded in UTC, ``instrument_time`` in s, ``attempt``; and along ``step`` what the
        spectra are over, such as ``bias`` in V. Each has its ``units``. The attributes are ``uid``, ``plan_name`` and
        ``agent``.

    Raises
    ------
    AnalysisError
        If the run has no spectrum, or the spectra have different lengths.
    """
    points = history.of(Point)
    if not points:
        raise AnalysisError("this run has no spectrum")
    lengths = sorted({len(point.spectrum) for point in points})
    if len(lengths) > 1:
        raise AnalysisError(f"the spectra of this run have different lengths, {lengths}; read them with read_stream")
    kind = history.spectroscopy
    along = {
        "x": ("nm", [np.nan if point.position is None else point.position[0] for point in points]),
        "y": ("nm", [np.nan if point.position is None else point.position[1] for point in points]),
        "instrument_time": ("s", [np.nan if point.time is None else point.time for point in points]),
        "attempt": ("", [point.attempt for point in points]),
    }
    recorded = np.array([point.recorded for point in points])
    coordinates: dict[str, Any] = {
        "time": ("point", (recorded * 1e9).round().astype("datetime64[ns]")),
        **{name: ("point", values, {"units": unit} if unit else {}) for name, (unit, values) in along.items()},
    }
    if len(kind.axis) == lengths[0]:
        coordinates[_variable(kind.axis_name)] = (
            "step",
            kind.axis,
            {"units": kind.axis_unit} if kind.axis_unit else {},
        )
    spectra = np.array([point.spectrum for point in points])
    attributes = {"units": kind.unit, "long_name": kind.quantity}
    data: dict[str, Any] = {
        "spectrum": (("point", "step"), spectra, {key: text for key, text in attributes.items() if text})
    }
    decisions = history.decisions[: len(points)]
    if decisions and len(decisions) == len(points):
        data["candidate"] = ("point", [point.candidate for point in points])
        data["phase"] = ("point", [decision.phase for decision in decisions])
        data["score"] = ("point", [decision.score for decision in decisions])
    return xarray.Dataset(data, coordinates, _about(history))


def measured_image(history: History, number: int = 0) -> xarray.Dataset:
    """Return an image of a run.

    Parameters
    ----------
    history : History
        The run.
    number : int
        0 for the first image, −1 for the last.

    Returns
    -------
    xarray.Dataset
        One variable (y, x) per channel with its ``units``. Coordinates ``x`` and ``y``: the centres of the pixels in
        nm.

    Raises
    ------
    AnalysisError
        If the run has no such image.
    """
    try:
        image = history.images[number]
    except IndexError:
        raise AnalysisError(f"this run has {len(history.images)} images, there is no image {number}") from None
    x_min, x_max, y_min, y_max = image.area
    _, ny, nx = image.frame.shape
    x = x_min + (np.arange(nx) + 0.5) * (x_max - x_min) / nx
    y = y_min + (np.arange(ny) + 0.5) * (y_max - y_min) / ny
    units = history.configuration.get(IMAGE, {}).get(
        f"{history.microscope}_imager_channel_units", [""] * len(image.channels)
    )
    frames = {
        name: (("y", "x"), frame, {"units": str(unit)})
        for name, frame, unit in zip(image.channels, image.frame, units, strict=False)
    }
    places = {"x": ("x", x, {"units": "nm"}), "y": ("y", y, {"units": "nm"})}
    return xarray.Dataset(frames, places, {**_about(history), "instrument_time": image.time})


def _variable(text: str) -> str:
    """Return a name for the axis of the spectra that does not hide a dimension."""
    name = re.sub(r"\W+", "_", text).strip("_")
    return "axis" if name in ("", "step", "point", "x", "y", "time") else name


def _about(history: History) -> dict[str, str]:
    start = history.start or {}
    agent = start.get("agent")
    named = {"agent": str(agent.get("agent", ""))} if isinstance(agent, dict) else {}
    return {"uid": str(start.get("uid", "")), "plan_name": str(start.get("plan_name", "")), **named}
