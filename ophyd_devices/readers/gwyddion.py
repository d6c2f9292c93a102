"""Gwyddion's files: simple fields (.gsf, one image) and its own (.gwy, channels). They hold images, no spectra."""

from pathlib import Path

import numpy as np

from ophyd_devices.readers.measurement import Image, Measurement, SampleError
from ophyd_devices.readers.registry import Reader, refuse_large
from ophyd_devices.readers.units import length_factor, shown

_GSF = b"Gwyddion Simple Field 1.0\n"


def read_simple_field(path: Path) -> Measurement:
    """Return the image of a simple field: a text header, then float32 from the top row down.

    The format: http://gwyddion.net/documentation/user-guide-en/gsf.html.
    """
    with path.open("rb") as file:
        start = file.read(2**16)
    end = start.find(b"\0")
    if not start.startswith(_GSF) or end < 0:
        raise SampleError(f"{path}: expected a Gwyddion simple field, its header is damaged; save it again")
    pairs = (line.partition("=") for line in start[len(_GSF) : end].decode("utf-8", "replace").splitlines())
    header = {name.strip(): value.strip() for name, _, value in pairs}
    try:
        nx, ny = int(header["XRes"]), int(header["YRes"])
        width, height = float(header.get("XReal", nx)), float(header.get("YReal", ny))
    except (KeyError, ValueError) as error:
        raise SampleError(f"{path}: expected XRes and YRes as whole numbers, could not read {error}") from error
    refuse_large(path, 8 * nx * ny, "the header")
    begin = 4 * (end // 4 + 1)
    values = np.fromfile(path, "<f4", offset=begin)
    if min(nx, ny) < 1 or len(values) != nx * ny:
        raise SampleError(f"{path}: the header promises {nx}×{ny} numbers, there are {len(values)}")
    factor, source = _scale(path, header.get("XYUnits", ""))
    unit, low = shown(header.get("ZUnits", "")), [float(header.get(name, 0)) for name in ("XOffset", "YOffset")]
    area = (factor * low[0], factor * (low[0] + width), factor * low[1], factor * (low[1] + height))
    picture = values.reshape(ny, nx)[::-1].astype(np.float64)
    return Measurement((Image(header.get("Title", path.stem), unit, picture, area),), (), source)


def read_gwy(path: Path) -> Measurement:
    """Return the channels of a Gwyddion file."""
    import gwyfile

    refuse_large(path, path.stat().st_size, "the file")
    try:
        fields = gwyfile.util.get_datafields(gwyfile.load(str(path)))
    except (ValueError, AssertionError, KeyError, TypeError, IndexError) as error:
        raise SampleError(f"{path}: cannot be read as a Gwyddion file ({error}); save it again") from error
    images, sources = [], set()
    for name, field in fields.items():
        unit = field.si_unit_xy.unitstr if field.si_unit_xy is not None else ""
        factor, source = _scale(path, unit)
        sources.add(source)
        x, y = factor * (field.xoff or 0), factor * (field.yoff or 0)
        area = (x, x + factor * field.xreal, y, y + factor * field.yreal)
        z_unit = field.si_unit_z.unitstr if field.si_unit_z is not None else ""
        images.append(Image(str(name), shown(z_unit), np.asarray(field.data, np.float64)[::-1], area))
    return Measurement(tuple(images), (), min(sources, default="file"))


def _scale(path: Path, unit: str) -> tuple[float, str]:
    """Return by what lengths are multiplied to be in nm, and where they come from."""
    if not unit:
        return 1.0, "assumed 1 px = 1 nm"
    return length_factor(unit, str(path)), "file"


SIMPLE_FIELD = Reader("Gwyddion simple field", (".gsf",), read_simple_field)
GWY = Reader("Gwyddion", (".gwy",), read_gwy, extra="'curio-plans[readers]'")
