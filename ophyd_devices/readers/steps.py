"""Preprocessing of spectra: named steps that are part of a run's documents, so that they can be made again exactly.

A step is written ``name``, ``name=value`` or ``name=value,value``:

=====================  =================================================================================
``range=LOW,HIGH``     keep the part of the axis between two values
``sweep=N``            keep the N-th sweep of an axis that goes back and forth, 1 for the first
``bin=N``              average so many neighbouring steps of one sweep; what is left over at its end is dropped.
                       Without it, spectra of more than 1024 steps are averaged to at most 512
``background=mean``    subtract the mean of each spectrum
``background=linear``  subtract the straight line through each spectrum (least squares). ``background=linear,LOW,HIGH``
                       fits it to a part of the axis, such as where a tip is in contact, or far away; so does ``mean``
``log``                the logarithm to base 10; every value must be positive
``asinh=SCALE``        asinh(value / SCALE): linear below the scale, logarithmic above, for either sign
``rank``               the share of all values in the file that are smaller, 0 … 1: only order is left
=====================  =================================================================================
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks
from scipy.stats import rankdata

from ophyd_devices.readers.gaps import complete, refuse_unfit
from ophyd_devices.readers.measurement import SampleError
from ophyd_devices.readers.selection import Curves

_OF_THE_AXIS = ("range", "sweep", "bin")
"""Steps that are made before gaps are looked for."""

MOST_STEPS, BINNED_STEPS = 1024, 512
"""Spectra of more steps are averaged to at most so many, unless a step says how: models and stores need no more."""


def with_bins(curves: Curves, steps: Sequence[str]) -> list[str]:
    """Return the steps with a ``bin`` if there is none and they leave more than :data:`MOST_STEPS`."""
    first = list(takewhile(_is_of_the_axis, steps))
    if any(_name(step) == "bin" for step in steps):
        return list(steps)
    count = len(apply_steps(replace(curves, values=curves.values[:0]), first).axis.values)
    bins = [] if count <= MOST_STEPS else [f"bin={-(-count // BINNED_STEPS)}"]
    return [*first, *bins, *steps[len(first) :]]


def _name(step: str) -> str:
    return step.partition("=")[0].strip()


def _is_of_the_axis(step: str) -> bool:
    return _name(step) in _OF_THE_AXIS


def prepare(learned: Sequence[Curves], others: Sequence[Curves], steps: Sequence[str]) -> tuple[Curves, ...]:
    """Return what a run measures: what the agent learns, without gaps and after all steps, then what comes with it.

    Steps that choose or join values of the axis are made first, then gaps are looked for, then come the other steps, as
    those need complete spectra. Channels that come along and cannot take a step are left out. Several learned channels
    are joined, each over its own spread.

    Raises
    ------
    SampleError
        If a step cannot be made, or no two spectra are left that differ.
    """
    first = list(takewhile(_is_of_the_axis, steps))
    rest = steps[len(first) :]
    chosen, beside = complete([apply_steps(one, first) for one in learned], [apply_steps(one, first) for one in others])
    chosen = tuple(apply_steps(one, rest) for one in chosen)
    for one in chosen:
        refuse_unfit(one)
    kept, refused = [], []
    for one in beside:
        try:
            kept.append(apply_steps(one, rest))
        except SampleError:
            refused.append(one.name)
    result = chosen[0] if len(chosen) == 1 else _joined(chosen)
    parts = sweeps(result.axis.values)
    if len(chosen) == 1 and len(parts) > 1:
        note = f"the axis goes back and forth in {len(parts)} sweeps, learned together; --preprocess sweep=1 takes one"
        result = replace(result, notes=(*result.notes, note))
    if refused:
        note = f"not recorded, as {', '.join(rest)} cannot be made of them: {', '.join(refused)}"
        result = replace(result, notes=(*result.notes, note))
    return result, *kept


def _joined(channels: Sequence[Curves]) -> Curves:
    """Return several channels one after the other, each over its own spread: the standard deviation of all its values.

    So none of them outweighs the others because of its unit.
    """
    scales = [float(one.values[one.measured].std()) for one in channels]
    told = ", ".join(
        f"{one.name} over {scale:.4g} {one.unit}".rstrip() for one, scale in zip(channels, scales, strict=True)
    )
    return replace(
        channels[0],
        name=" + ".join(one.name for one in channels),
        unit="",
        values=np.concatenate([one.values / scale for one, scale in zip(channels, scales, strict=True)], axis=1),
        axis=replace(channels[0].axis, values=np.concatenate([one.axis.values for one in channels])),
        notes=(*channels[0].notes, f"learned together, each over its own spread: {told}"),
    )


def apply_steps(curves: Curves, steps: Sequence[str]) -> Curves:
    """Return the curves after all steps, in order; the notes say what was done.

    Raises
    ------
    SampleError
        If a step is unknown, or cannot be made.
    """
    for step in steps:
        curves = _apply(curves, step)
    return curves


def sweeps(axis: NDArray[np.float64]) -> list[slice]:
    """Return the sweeps of an axis (K,): the parts between the places where it turns or jumps back.

    Turns of less than a twentieth of its range do not count: measured axes are noisy.
    """
    least = 0.05 * float(np.ptp(axis))
    turns = np.sort(np.concatenate([find_peaks(side * axis, prominence=least)[0] for side in (1, -1)]))
    starts = [0]
    for turn in turns:
        if turn + 1 > starts[-1] + 1:  # after a jump back, the next value is a turn of its own
            starts.append(int(turn) + 1)
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], len(axis)], strict=True)]


def _apply(curves: Curves, step: str) -> Curves:
    name, _, text = (part.strip() for part in step.partition("="))
    if name == "range":
        return _ranged(curves, *_numbers(step, text, 2))
    if name == "sweep":
        return _one_sweep(curves, *_numbers(step, text, 1))
    if name == "bin":
        return _binned(curves, *_numbers(step, text, 1))
    kind, _, part = (word.strip() for word in text.partition(","))
    if name == "background" and kind in ("mean", "linear"):
        return _without_background(curves, kind, _numbers(step, part, 2) if part else None, step)
    if name == "log" and not text:
        return _logarithm(curves)
    if name == "asinh":
        return _asinh(curves, *_numbers(step, text, 1))
    if name == "rank" and not text:
        return _ranks(curves)
    raise SampleError(
        "expected a step range=LOW,HIGH, sweep=N, bin=N, background=mean, background=linear (of a part: ,LOW,HIGH), "
        f"log, asinh=SCALE or rank, got {step!r}"
    )


def _numbers(step: str, text: str, count: int) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count or not np.isfinite(values).all():
        raise SampleError(f"expected {count} number(s) after = in the step {step!r}")
    return values


def _ranged(curves: Curves, low: float, high: float) -> Curves:
    axis = curves.axis
    kept = (axis.values >= min(low, high)) & (axis.values <= max(low, high))
    if kept.sum() < 2:
        raise SampleError(
            f"range={low:g},{high:g} keeps {int(kept.sum())} steps of the axis {axis.values.min():.4g} … "
            f"{axis.values.max():.4g} {axis.unit}".rstrip()
            + "; at least 2 are needed"
        )
    note = f"{axis.name} from {low:g} to {high:g} {axis.unit}".rstrip() + f": {int(kept.sum())} of {len(kept)} steps"
    values = curves.values[:, kept]
    return replace(curves, values=values, axis=replace(axis, values=axis.values[kept]), notes=(*curves.notes, note))


def _one_sweep(curves: Curves, number: float) -> Curves:
    axis, parts = curves.axis, sweeps(curves.axis.values)
    if number not in range(1, len(parts) + 1):
        raise SampleError(
            f"sweep={number:g}: the axis {axis.name!r} has {len(parts)} sweep(s); choose 1 … {len(parts)}"
        )
    part = parts[int(number) - 1]
    values = axis.values[part]
    note = (
        f"sweep {number:g} of {len(parts)}: {axis.name} from {values[0]:.4g} to {values[-1]:.4g} {axis.unit}".rstrip()
    )
    return replace(
        curves, values=curves.values[:, part], axis=replace(axis, values=values), notes=(*curves.notes, note)
    )


def _binned(curves: Curves, width: float) -> Curves:
    size, steps, parts = int(width), len(curves.axis.values), sweeps(curves.axis.values)
    kept = [slice(part.start, part.start + (part.stop - part.start) // max(size, 1) * size) for part in parts]
    count = sum(part.stop - part.start for part in kept) // max(size, 1)
    if width == 1:
        return curves
    if size != width or size < 1 or count < 2:
        raise SampleError(
            f"bin={width:g} of {steps} steps in {len(parts)} sweep(s) leaves {max(count, 0)}, and 2 are needed; choose "
            "a smaller whole number"
        )
    chosen = np.concatenate([np.arange(steps)[part] for part in kept])
    values = curves.values[:, chosen].reshape(len(curves.values), count, size).mean(axis=2)
    axis = curves.axis.values[chosen].reshape(count, size).mean(axis=1)
    note = f"{size} neighbouring steps averaged: {count} steps of {steps}"
    return replace(curves, values=values, axis=replace(curves.axis, values=axis), notes=(*curves.notes, note))


def _without_background(curves: Curves, kind: str, part: Sequence[float] | None, step: str) -> Curves:
    """Return the curves without their mean or line (least squares), fitted to a part of the axis if one is given."""
    axis, measured = curves.axis.values, curves.measured
    fitted = np.ones(len(axis), bool) if part is None else (axis >= min(part)) & (axis <= max(part))
    least = 1 if kind == "mean" else 2
    if len(np.unique(axis[fitted])) < least:
        raise SampleError(
            f"{step}: the part has {int(fitted.sum())} steps of the axis {axis.min():.4g} … {axis.max():.4g} "
            f"{curves.axis.unit}".rstrip()
            + f"; at least {least} are needed"
        )
    values = curves.values.copy()
    origin = axis[fitted].mean()
    values[measured] -= values[measured][:, fitted].mean(axis=1, keepdims=True)
    if kind == "linear":  # along the axis, whose steps may be uneven or go back and forth
        x = axis[fitted] - origin
        slope = values[measured][:, fitted] @ x / (x @ x)
        values[measured] -= slope[:, None] * (axis - origin)
    return replace(curves, values=values, notes=(*curves.notes, f"{step} was taken off each spectrum"))


def _logarithm(curves: Curves) -> Curves:
    if (curves.values[curves.measured] <= 0).any():
        lowest = f"{float(np.nanmin(curves.values)):.4g} {curves.unit}".rstrip()
        raise SampleError(f"log needs positive values, the smallest is {lowest}; use asinh=SCALE")
    unit = f"log₁₀ of {curves.unit}" if curves.unit else ""
    return replace(
        curves, values=np.log10(curves.values), name=f"log {curves.name}", unit=unit,
        notes=(*curves.notes, "the logarithm to base 10 was taken"),
    )  # fmt: skip


def _asinh(curves: Curves, scale: float) -> Curves:
    if scale <= 0:
        raise SampleError(f"asinh needs a positive scale, got {scale:g}")
    return replace(
        curves, values=np.arcsinh(curves.values / scale), name=f"asinh {curves.name}", unit="",
        notes=(*curves.notes, f"asinh of the value over {scale:g} {curves.unit}".rstrip() + " was taken"),
    )  # fmt: skip


def _ranks(curves: Curves) -> Curves:
    values = np.full_like(curves.values, np.nan)
    measured = curves.values[curves.measured]
    ranks = rankdata(measured) - 1
    values[curves.measured] = ranks.reshape(measured.shape) / max(measured.size - 1, 1)
    return replace(
        curves, values=values, name=f"rank of {curves.name}", unit="",
        notes=(*curves.notes, "values are replaced by their rank among all values in the file"),
    )  # fmt: skip
