"""A run as one NeXus file, with the names of NXspm and NXspm_bias_spectroscopy as far as they fit.

The file has everything that is in the documents: columns of all streams with units and timestamps, configurations, and
start, stop and descriptors as JSON. Other groups are plotted by h5web and silx at once: the last image, all spectra,
the points as a scatter plot, and the last belief map of the agent.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from agents.pool import pixel_centres
from curio_plans.documents.streams import DECISION, MAP, POINT
from curio_plans.export.run import ExportError, Run, Stream, field_names, mapping, to_json

Group = Any
"""An HDF5 group; h5py has no types."""

_LARGE = 10_000
"""Datasets with at least this many elements are compressed."""


def write(run: Run, path: Path) -> None:
    """Write a run as a NeXus file at `path`.

    Raises
    ------
    ExportError
        If h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise ExportError("NeXus files need h5py; install it with: pip install 'curio-plans[export]'") from error
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        file.attrs["creator"] = "curio-plans"
        entry = _group(file, "entry", "NXentry")
        _describe(entry, run)
        streams = _group(entry, "streams", "NXcollection")
        for stream in run.streams.values():
            _write_stream(streams, stream)
        _write_documents(entry, run)
        if run.history.images:
            _write_image(entry, run)
        if run.has_spectra:
            _write_spectra(entry, run, streams[POINT])
        _write_instrument(entry, run)
        if run.told("agent"):
            _write_curiosity(entry, run, streams)


def _describe(entry: Group, run: Run) -> None:
    """Write what NXentry, NXuser and NXsample have names for."""
    start, about = run.start, run.told("experiment")
    _put(entry, "definition", "NXspm").attrs["version"] = "2026.01"
    _put(entry, "experiment_technique", "AFM")
    _put(entry, "entry_identifier", start["uid"])
    _put(entry, "identifier_experiment", start["uid"])
    _put(entry, "title", about.get("title") or start.get("plan_name", "run"))
    _put(entry, "start_time", _moment(start["time"]))
    if run.stop:
        _put(entry, "end_time", _moment(run.stop["time"]))
    program = _put(entry, "program_name", "curio-plans")
    program.attrs["version"] = run.version
    program.attrs["configuration"] = to_json(start.get("versions", {}))
    _put_known(entry, about, experiment_identifier="proposal", experiment_description="comment")
    if "operator" in about:
        user = _group(entry, "user", "NXuser")
        _put_known(user, about, name="operator", affiliation="institution")
    sample = _group(entry, "sample", "NXsample")
    described = mapping(about.get("sample"))
    _put_known(sample, described, name="name", chemical_formula="formula", description="preparation")
    if "thickness" in described:
        _put(sample, "thickness", described["thickness"], "nm")
    _put_note(sample, "notes", {"experiment": described, "microscope": start.get("sample", {})})


def _write_stream(parent: Group, stream: Stream) -> None:
    group = _group(parent, stream.name, "NXcollection")
    _put(group, "time", stream.time, "s")
    _put(group, "seq_num", stream.seq_num)
    _put(group, "event_uid", stream.uids)
    for key, values in stream.columns.items():
        declared = stream.data_keys[key]
        dataset = _put(group, key, values, str(declared.get("units") or ""))
        for name in ("source", "object_name"):
            if name in declared:
                dataset.attrs[name] = declared[name]
        if "dims" in declared:
            dataset.attrs["dims"] = ["event", *declared["dims"]]
    stamps = _group(group, "timestamps", "NXcollection")
    for key, values in stream.timestamps.items():
        _put(stamps, key, values, "s")
    configuration = _group(group, "configuration", "NXcollection")
    for key, (value, declared) in stream.configuration.items():
        _put(configuration, key, value, str(declared.get("units") or ""))


def _write_documents(entry: Group, run: Run) -> None:
    group = _group(entry, "documents", "NXcollection")
    for name, text in (
        ("start", to_json(run.start)),
        ("stop", to_json(run.stop) if run.stop else ""),
        ("descriptors", to_json(run.descriptors)),
    ):
        if text:
            _put(group, name, text).attrs["media_type"] = "application/json"


def _write_image(entry: Group, run: Run) -> None:
    """Write the channels of the last frame as an NXdata that is plotted as an image."""
    (x_min, x_max, y_min, y_max), (_, ny, nx) = run.history.images[-1].area, run.frame.shape
    fields = field_names(name for name, _ in run.channels)
    image = _data(entry, "image", fields[0], ["y", "x"], fields[1:])
    for field, (name, unit), channel in zip(fields, run.channels, run.frame, strict=True):
        _put(image, field, channel, unit).attrs["long_name"] = _label(name, unit)
    _put(image, "y", pixel_centres(y_min, y_max, ny), "nm")
    _put(image, "x", pixel_centres(x_min, x_max, nx), "nm")
    image.parent.attrs["default"] = "image"


def _write_spectra(entry: Group, run: Run, stream: Group) -> None:
    """Write the spectra as an NXdata of curves, and the points as a scatter plot of their heights.

    Each other channel is an auxiliary signal of the spectra.
    """
    about = run.history.spectroscopy
    field, *names = field_names([about.axis_name, *(name for name, _ in about.channels)])
    others = [number for number, (name, _) in enumerate(about.channels) if name != about.quantity]
    on_field = ["on_field"] if run.key("spectrometer_on_field") in stream else []  # version 0.1
    spectra = _data(entry, "spectra", "spectrum", ["point", field], [*on_field, *(names[number] for number in others)])
    for name in ("spectrum", *on_field):
        _link(spectra, name, stream[run.key(f"spectrometer_{name}")])
    for number in others:
        values = run.point("spectrometer_channels")[:, number]
        channel = _put(spectra, names[number], values, about.channels[number][1])
        channel.attrs["long_name"] = _label(*about.channels[number])
    spectra["spectrum"].attrs["long_name"] = _label(about.quantity or "spectrum", about.unit)
    spectra["spectrum"].attrs["interpretation"] = "spectrum"
    _put(spectra, "point", np.arange(1, len(run.streams[POINT]) + 1))
    _put(spectra, field, about.axis, about.axis_unit).attrs["long_name"] = _label(field, about.axis_unit)
    points = _data(entry, "points", "height", ["x", "y"])
    _link(points, "height", stream[run.key("spectrometer_height")])
    for name in ("x", "y"):
        for group in (points, spectra):
            _link(group, name, stream[run.key(f"scanner_{name}")])
        spectra.attrs[f"{name}_indices"] = 0
    entry.attrs["default"] = "spectra"


def _write_instrument(entry: Group, run: Run) -> None:
    instrument = _group(entry, "instrument", "NXinstrument")
    _put(instrument, "name", run.microscope or "unknown")
    software = _group(instrument, "software", "NXfabrication")
    _put(software, "name", "curio-plans")
    _put(software, "vendor", "The curio developers")
    _put(software, "model", run.version)
    hardware = _group(instrument, "hardware", "NXfabrication")
    _put(hardware, "name", run.microscope or "unknown")
    _put(hardware, "model", str(run.told("sample").get("instrument", "unknown")))
    tip = mapping(run.told("experiment").get("tip"))
    if tip:
        cantilever = _group(instrument, "cantilever", "NXspm_cantilever")
        config = _group(cantilever, "cantilever_config", "NXspm_cantilever_config")
        units = {"spring_constant": "nN/nm", "resonance": "Hz", "radius": "nm"}
        for name, value in tip.items():
            _put(config, name, to_json(value) if name == "more" else value, units.get(name, ""))
    if run.history.images:
        _write_scan(instrument, run)
    if run.has_spectra:
        stream = entry["streams"][POINT]
        sensor = _group(instrument, "piezo_sensor", "NXspm_piezo_sensor")
        for name in ("x", "y"):
            _link(sensor, name, stream[run.key(f"scanner_{name}")])
        if run.history.spectroscopy.axis_unit == "V":
            _write_bias_spectroscopy(instrument, run, entry["spectra"])


def _write_scan(instrument: Group, run: Run) -> None:
    """Write how the image was scanned."""
    x_min, x_max, y_min, y_max = run.history.images[-1].area
    _, ny, nx = run.frame.shape
    environment = _group(instrument, "scan_environment", "NXenvironment")
    control = _group(environment, "scan_control", "NXspm_scan_control")
    _put(control, "scan_type", "mesh")
    region = _group(control, "scan_region", "NXspm_scan_region")
    pattern = _group(control, "mesh_scan", "NXspm_scan_pattern")
    for name, number, low, high in (("y", ny, y_min, y_max), ("x", nx, x_min, x_max)):
        _put(region, f"scan_start_{name}", low, "nm")
        _put(region, f"scan_end_{name}", high, "nm")
        _put(region, f"scan_range_{name}", high - low, "nm")
        _put(region, f"scan_offset_value_{name}", low, "nm")
        _put(pattern, f"scan_points_{name}", number)
        _put(pattern, f"step_size_{name}", (high - low) / number, "nm")


def _write_bias_spectroscopy(instrument: Group, run: Run, spectra: Group) -> None:
    axis = run.history.spectroscopy.axis
    environment = _group(instrument, "bias_spectroscopy_environment", "NXenvironment")
    spectroscopy = _group(environment, "bias_spectroscopy", "NXspm_bias_spectroscopy")
    _put(spectroscopy, "measurement_type", "constant_spacing")
    dwell, cycles = run.configured(POINT, "spectrometer_dwell"), run.configured(POINT, "spectrometer_cycles")
    if dwell is not None:
        circuit = _group(spectroscopy, "circuit", "NXcircuit")
        _put(circuit, "acquisition_time", dwell, "s")
        _put(circuit, "measurement_time", dwell * len(axis), "s")
    sweep = _group(spectroscopy, "bias_sweep", "NXspm_scan_control")
    _put(sweep, "scan_type", "linear")
    if cycles is not None:
        _put(sweep, "number_of_sweeps", cycles)
    location = _group(sweep, "spatial_location", "NXcoordinate_system")
    for name in ("x", "y"):
        _link(location, name, spectra[name])
    region = _group(sweep, "scan_region", "NXspm_scan_region")
    _put(region, "scan_start_bias", axis[0], "V")
    _put(region, "scan_end_bias", axis[-1], "V")
    _put(region, "scan_offset_bias", axis.min(), "V")
    _put(region, "scan_range_bias", np.ptp(axis), "V")
    pattern = _group(sweep, "linear_sweep", "NXspm_scan_pattern")
    _put(pattern, "scan_points_bias", len(axis))
    _put(pattern, "step_size_bias", np.median(np.abs(np.diff(axis))), "V")
    _put(pattern, "backward_sweep", bool((np.diff(axis) < 0).any() and (np.diff(axis) > 0).any()))
    _link(pattern, "scan_data", spectra)


def _write_curiosity(entry: Group, run: Run, streams: Group) -> None:
    """Write who decided, link the decisions, and write the last belief map over the pool: images, or a scatter plot."""
    process, agent = _group(entry, "curiosity", "NXprocess"), run.told("agent")
    _put(process, "program", str(agent.get("agent", "unknown"))).attrs["version"] = run.version
    _put(process, "version", run.version)
    _put_note(process, "agent", agent)
    for name, stream in (("decisions", DECISION), ("beliefs", MAP)):
        if stream in streams:
            _link(process, name, streams[stream])
    pool, maps = run.history.pool, run.history.maps[-1].maps if run.history.maps else {}
    if pool is None or not maps:
        return
    fields = field_names(list(maps))
    if pool.grid is None:
        belief = _data(entry, "belief", fields[0], ["x", "y"], fields[1:])
        for field, (name, values) in zip(fields, maps.items(), strict=True):
            _put(belief, field, values).attrs["long_name"] = name
        for axis, name in enumerate("xy"):
            _put(belief, name, pool.positions[:, axis], "nm")
        return
    belief = _data(entry, "belief", fields[0], ["y", "x"], fields[1:])
    for field, (name, values) in zip(fields, maps.items(), strict=True):
        _put(belief, field, values.reshape(pool.grid)).attrs["long_name"] = name
    places = pool.positions.reshape(*pool.grid, 2)
    _put(belief, "y", places[:, 0, 1], "nm")
    _put(belief, "x", places[0, :, 0], "nm")


def _group(parent: Group, name: str, nx_class: str) -> Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    return group


def _data(entry: Group, name: str, signal: str, axes: list[str], auxiliary: Iterable[str] = ()) -> Group:
    """Return a new NXdata group with its plot described."""
    group = _group(entry, name, "NXdata")
    group.attrs["signal"] = signal
    group.attrs["axes"] = axes
    if auxiliary:
        group.attrs["auxiliary_signals"] = list(auxiliary)
    for position, axis in enumerate(axes):
        # A scatter plot has two axes along one dimension.
        group.attrs[f"{axis}_indices"] = 0 if axes == ["x", "y"] else position
    return group


def _put(group: Group, name: str, value: ArrayLike, units: str = "") -> Any:
    import h5py

    array = np.asarray(value)
    if array.dtype.kind in "UO":
        text = h5py.string_dtype()
        dataset = group.create_dataset(name, data=array.astype(object) if array.ndim else str(value), dtype=text)
    else:
        packed = {"compression": "gzip", "shuffle": True} if array.size >= _LARGE else {}
        dataset = group.create_dataset(name, data=array, **packed)
    if units:
        dataset.attrs["units"] = units
    return dataset


def _link(group: Group, name: str, node: Any) -> None:
    """Give the same data a second name, as NeXus does it."""
    node.attrs.setdefault("target", node.name)
    group[name] = node


def _put_note(group: Group, name: str, content: Mapping[str, Any]) -> None:
    note = _group(group, name, "NXnote")
    _put(note, "type", "application/json")
    _put(note, "data", np.bytes_(to_json(content).encode()))


def _put_known(group: Group, values: Mapping[str, Any], **names: str) -> None:
    """Write those of `values` that are there under NeXus's names for them."""
    for name, key in names.items():
        if key in values:
            _put(group, name, values[key])


def _label(name: str, unit: str) -> str:
    return f"{name} / {unit}" if unit else name


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
