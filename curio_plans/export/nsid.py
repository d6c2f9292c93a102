"""A run as an NSID file, which pycroscopy's programs read.

Each channel of the last image is a dataset. Spectra of a complete grid are a spectral image; others are a point cloud,
with their places in nm. The start document is kept as JSON.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from agents.pool import pixel_centres
from curio_plans.export.run import ExportError, Run, field_names, to_json
from curio_plans.export.sample import cube_of

_NO_UNIT = "generic"
"""Sidpy's name for the unit of pure numbers, and for an unknown unit; it accepts no empty one."""


def write(run: Run, path: Path) -> None:
    """Write a run as an NSID file at `path`.

    Raises
    ------
    ExportError
        If sidpy and pyNSID are not installed, or the run has neither an image nor spectra with a place.
    """
    try:
        import h5py
        import pyNSID
        import sidpy
    except ImportError as error:
        raise ExportError(
            f"NSID files need sidpy and pyNSID ({error}); install them with: pip install 'curio-plans[pycroscopy]'"
        ) from error
    datasets = {**_images(run, sidpy), **_spectra(run, sidpy)}
    if not datasets:
        raise ExportError("this run has neither an image nor spectra with a place; export it to .nxs instead")
    with h5py.File(path, "w") as file:
        group = file.create_group("Measurement_000")
        for name, dataset in datasets.items():
            dataset.title, dataset.modality, dataset.source = name, "AFM", run.microscope
            dataset.original_metadata = {"start": to_json(run.start)}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # pyNSID's, of its own functions
                pyNSID.hdf_io.write_nsid_dataset(dataset, group, main_data_name=name)


def _images(run: Run, sidpy: Any) -> dict[str, Any]:
    if not run.history.images:
        return {}
    (x_min, x_max, y_min, y_max), (_, ny, nx) = run.history.images[-1].area, run.frame.shape
    images = {}
    fields = field_names(name for name, _ in run.channels)
    for field, (name, unit), channel in zip(fields, run.channels, run.frame, strict=True):
        image = sidpy.Dataset.from_array(channel)
        image.data_type, image.quantity, image.units = "image", name, unit or _NO_UNIT
        _set_places(sidpy, image, pixel_centres(y_min, y_max, ny), pixel_centres(x_min, x_max, nx))
        images[field] = image
    return images


def _spectra(run: Run, sidpy: Any) -> dict[str, Any]:
    if not run.has_spectra:
        return {}
    about = run.history.spectroscopy
    datasets = {"spectra": _channel(run, sidpy, about.quantity, about.unit, None)}
    names = field_names(name for name, _ in about.channels)
    for number, (field, (name, unit)) in enumerate(zip(names, about.channels, strict=True)):
        if name != about.quantity:
            datasets[f"spectra_{field}"] = _channel(run, sidpy, name, unit, number)
    return datasets


def _channel(run: Run, sidpy: Any, quantity: str, unit: str, number: int | None) -> Any:
    """Return the dataset of a channel; of the one that was learned where `number` is None."""
    cube = cube_of(run) if number is None else None
    if cube is not None and cube.measured.all():
        spectra = sidpy.Dataset.from_array(cube.spectra)
        spectra.data_type = "spectral_image"
        x_min, x_max, y_min, y_max = cube.extent
        height, width, _ = cube.spectra.shape
        _set_places(sidpy, spectra, pixel_centres(y_min, y_max, height), pixel_centres(x_min, x_max, width))
    else:
        places = np.stack([run.point("scanner_x"), run.point("scanner_y")], axis=1)
        measured = run.point("spectrometer_spectrum" if number is None else "spectrometer_channels")
        spectra = sidpy.Dataset.from_array(measured if number is None else measured[:, number], coordinates=places)
        spectra.data_type = "point_cloud"
        spectra.point_cloud = {"coordinates": places, "spacial_units": "nm", "quantity": "distance"}
        kind = sidpy.DimensionType.POINT_CLOUD
        spectra.set_dimension(0, sidpy.Dimension(np.arange(len(places)), "point", "point", _NO_UNIT, kind))
    about = run.history.spectroscopy
    spectra.quantity, spectra.units = quantity, unit or _NO_UNIT
    (field,), axis_unit = field_names([about.axis_name]), about.axis_unit or _NO_UNIT
    dimension = sidpy.Dimension(about.axis, field, about.axis_name, axis_unit, sidpy.DimensionType.SPECTRAL)
    spectra.set_dimension(spectra.ndim - 1, dimension)
    return spectra


def _set_places(sidpy: Any, dataset: Any, y: Any, x: Any) -> None:
    for position, (name, values) in enumerate((("y", y), ("x", x))):
        dataset.set_dimension(position, sidpy.Dimension(values, name, name, "nm", sidpy.DimensionType.SPATIAL))
