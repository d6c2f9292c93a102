"""What was not measured: spectra that only fill an unfinished grid, and spectra that end early."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.readers.measurement import Measurement, SampleError
from ophyd_devices.readers.selection import Curves

WORTH_ALL = 0.8
"""Share of the values of what is learned that is enough, if the channels recorded beside it can be kept."""

LARGEST = 1e18
"""Spectra with larger numbers are refused, as their squares do not fit into float32."""

ZEROS_IN_IMAGE = 0.05
"""An image with a smaller share of zeros where spectra were measured is taken as filled where it is 0 elsewhere."""

ZEROS_AT_END = 3
"""So many zeros at the end of a spectrum are told."""


def without_fillings(curves: Curves) -> Curves:
    """Return the curves with NaN where a spectrum is nothing but a filling.

    Unfinished grids are filled with zeros, or with one number from the first missing place to the end of the grid.
    Counts are whole numbers and may well be 0: among whole numbers nothing is taken for a filling.
    """
    values = curves.values
    level = values[:, 0]
    constant = (values == level[:, None]).all(axis=1)
    others = values[~constant]
    known = others[np.isfinite(others)]
    if not known.size or (known == np.round(known)).all():
        return curves
    curves = _with_doubts(curves, constant)
    filling = constant & (level == 0)
    last = level[-1]
    if constant[-1] and last != 0:
        from_here = np.flatnonzero(~(constant & (level == last)))[-1] + 1
        filling[from_here:] |= len(values) - from_here > 1
    if not filling.any():
        return curves
    values = values.copy()
    values[filling] = np.nan
    what = "zeros" if (level[filling] == 0).all() else f"the number {last:g}"
    note = f"{int(filling.sum())} of {len(values)} places hold only {what}, as an unfinished grid does: no candidates"
    return replace(curves, values=values, notes=(*curves.notes, note))


def without_filled_pixels(found: Measurement, curves: Curves) -> Measurement:
    """Return the contents of a file with NaN where an image on the grid of the spectra is filled with zeros, too.

    Only where there is no spectrum, and if the image is 0 hardly anywhere else: a real image may have zeros.
    """
    grid, area = curves.origin.grid, curves.origin.area
    if grid is None or area is None:
        return found
    empty = np.isnan(curves.values).all(axis=1).reshape(grid)
    if not empty.any() or empty.all():
        return found
    images = []
    for image in found.images:
        values = image.values
        if values.shape == grid and np.allclose(image.area, area, rtol=1e-9):
            zero = values == 0
            if (zero & empty).any() and zero[~empty].mean() < ZEROS_IN_IMAGE:
                image = replace(image, values=np.where(zero & empty, np.nan, values))  # noqa: PLW2901
        images.append(image)
    return replace(found, images=tuple(images))


def complete(learned: Sequence[Curves], others: Sequence[Curves] = ()) -> tuple[tuple[Curves, ...], tuple[Curves, ...]]:
    """Return channels and those recorded with them, where each spectrum is complete, or NaN as a whole.

    Where spectra begin late or end early, the axis is cut to the steps with which the most values are kept. Others
    with gaps where the learned ones have none are left out. The notes of the first say what was done.

    Raises
    ------
    SampleError
        If fewer than two spectra are left.
    """
    known = np.logical_and.reduce([np.isfinite(one.values) for one in learned])
    begun, whole = np.asarray(known.any(axis=1)), np.asarray(known.all(axis=1))
    notes = list(learned[0].notes)
    first, last = 0, known.shape[1] - 1
    if whole.sum() < begun.sum():
        first, last, alone = _best_steps(known[begun])
        beside = np.logical_and.reduce([known, *(np.isfinite(one.values) for one in others)])
        *both, together = _best_steps(beside[begun])
        if together >= WORTH_ALL * alone:
            first, last = both
    if last - first + 1 < known.shape[1]:
        learned, others = [_cut(one, first, last) for one in learned], [_cut(one, first, last) for one in others]
        whole = np.asarray(known[:, first : last + 1].all(axis=1))
        axis = learned[0].axis
        notes.append(
            f"some spectra end early: the axis is cut to the {last - first + 1} of {known.shape[1]} steps "
            f"{axis.values[0]:.4g} … {axis.values[-1]:.4g} {axis.unit}".rstrip()
            + f", which {int(whole.sum())} of {int(begun.sum())} spectra have; choose others with --preprocess range="
        )
    missing = int((~whole).sum())
    if len(whole) - missing < 2:
        there = {0: "none", 1: "only one"}.get(int(begun.sum()), "less")
        raise SampleError(
            f"expected at least two complete spectra in {learned[0].name!r}, found {there} at {len(whole)} places: "
            "there is nothing to choose"
        )
    if missing:
        notes.append(f"{missing} of {len(whole)} places have no complete spectrum: no candidates")
    kept = [one for one in others if np.isfinite(one.values[whole]).all()]
    if len(kept) < len(others):
        gaps = ", ".join(one.name for one in others if not np.isfinite(one.values[whole]).all())
        notes.append(f"not recorded, as they have gaps: {gaps}")
    found = [replace(one, values=np.where(whole[:, None], one.values, np.nan)) for one in learned]
    return (replace(found[0], notes=tuple(notes)), *found[1:]), tuple(kept)


def _with_doubts(curves: Curves, constant: NDArray[np.bool_]) -> Curves:
    """Return the curves with a note if zeros at their end look like steps that were not measured."""
    ending = int((~constant & (curves.values[:, -ZEROS_AT_END:] == 0).all(axis=1)).sum())
    if not ending:
        return curves
    note = f"{ending} spectra end in zeros: if those steps were not measured, write NaN there, or --preprocess range="
    return replace(curves, notes=(*curves.notes, note))


def _cut(curves: Curves, first: int, last: int) -> Curves:
    part = slice(first, last + 1)
    axis = replace(curves.axis, values=curves.axis.values[part])
    return replace(curves, values=curves.values[:, part], axis=axis)


def _best_steps(known: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Return the first and last step between which the complete spectra have the most values, and how many.

    `known` is (M, K). If no two spectra without gaps inside have two common steps, these are all steps.
    """
    every = (0, known.shape[1] - 1, int(known.all(axis=1).sum()) * known.shape[1])
    first, last = known.argmax(axis=1), known.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
    unbroken = known.sum(axis=1) == last - first + 1
    if not unbroken.any():
        return every
    starts, ends = np.unique(first[unbroken]), np.unique(last[unbroken])
    counts = np.zeros((len(starts), len(ends)))
    np.add.at(counts, (np.searchsorted(starts, first[unbroken]), np.searchsorted(ends, last[unbroken])), 1)
    covering = counts.cumsum(axis=0)[:, ::-1].cumsum(axis=1)[:, ::-1]
    lengths = ends[None, :] - starts[:, None] + 1
    values = np.where((covering >= 2) & (lengths >= 2), covering * lengths, 0)
    if not values.any():
        return every
    start, end = np.unravel_index(int(values.argmax()), values.shape)
    return int(starts[start]), int(ends[end]), int(values[start, end])


def refuse_unfit(curves: Curves) -> None:
    """Raise SampleError if all spectra are equal, or too large or small for float32, in which predictions are kept."""
    values = curves.values[curves.measured]
    largest = float(np.abs(values).max())
    if largest > LARGEST or 0 < largest < 1 / LARGEST:
        raise SampleError(
            f"expected spectra of numbers between {1 / LARGEST:g} and {LARGEST:g}, got up to {largest:.3g} in "
            f"{curves.name!r}; choose another unit, or --preprocess log"
        )
    if (values == values[0]).all():
        raise SampleError(
            f"expected spectra that differ, got {len(values)} equal ones in {curves.name!r}: nothing can be learned "
            "from them; choose another channel with --spectrum-channel, or look whether the file is finished"
        )
