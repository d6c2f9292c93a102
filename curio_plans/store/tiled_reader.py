"""Reading a run from Tiled at any time: while it goes on, after it was killed, and when it is complete.

Tiled's own ``read()`` of a stream asks for each column's length once and for its data later; in between a live run
grows, and the request fails. Here every request names the rows it wants, and what is not yet complete is left out.
"""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import xarray
from numpy.typing import NDArray

from curio_plans.store.errors import StorageError
from curio_plans.store.reader import Documents

_TABLE = "internal"
_ROW = "seq_num"


def read_stream(run: Any, stream: str = "primary") -> xarray.Dataset:
    """Return the events of one stream that are complete so far.

    Parameters
    ----------
    run : BlueskyRun
        From a Tiled catalog, local or remote: ``storage.catalog[uid]``.
    stream : str
        Name of the stream.

    Returns
    -------
    xarray.Dataset
        One variable per data key, along ``time`` and then along dimensions of its own, named
        ``<key>_dim_0``, ``<key>_dim_1`` …; coordinates ``time`` and ``seq_num``; the units and shape of each as
        attributes, and the configuration of the devices as the dataset's attributes.

    Raises
    ------
    LookupError
        If the run has no such stream.
    """
    return TiledStream(run, stream).read()


def read_configuration(run: Any, stream: str = "primary") -> dict[str, Any]:
    """Return the configuration of all devices of a stream by key, arrays in the type their device declares.

    When a device was configured anew during the run, these are its last values.

    Raises
    ------
    LookupError
        If the run has no such stream.
    """
    return TiledStream(run, stream).configuration


def count_points(run: Any, stream: str = "primary") -> int:
    """Return how many events of a stream can be read; 0 if there is no such stream yet."""
    try:
        return TiledStream(run, stream).number
    except LookupError:
        return 0


class TiledStream:
    """One stream of a run as it is in Tiled now. The list of its parts is asked for once.

    Raises
    ------
    LookupError
        If the run has no such stream.
    """

    def __init__(self, run: Any, stream: str) -> None:
        try:
            node = run.base[stream].base
        except KeyError:
            raise LookupError(f"run {run.item['id']} has no stream {stream!r}; it has {sorted(run.base)}") from None
        self._metadata: Mapping[str, Any] = node.metadata
        self._parts = dict(node.items())

    @cached_property
    def number(self) -> int:
        """How many events can be read."""
        return int(_rows(self._columns(data=False)).size)

    @property
    def missing_columns(self) -> list[str]:
        """The data keys that have no column: a writer that was killed did not come to them."""
        found: set[str] = set()
        for key, part in self._parts.items():
            found.update(part.columns if part.structure_family == "table" else [key])
        return sorted(set(self._metadata["data_keys"]) - found)

    @property
    def configuration(self) -> dict[str, Any]:
        """The configuration of all devices by key; see :func:`read_configuration`."""
        values: dict[str, Any] = {}
        devices = self._metadata.get("configuration", {})
        described = {key: declared for device in devices.values() for key, declared in device["data_keys"].items()}
        for change in ({"configuration": devices}, *self._metadata.get("_config_updates", [])):
            for device in change.get("configuration", {}).values():
                values.update(_as_declared(device["data"], described))
        return values

    def read(self) -> xarray.Dataset:
        """Return the events; see :func:`read_stream`."""
        columns = self._columns()
        rows = _rows(columns)
        described: Mapping[str, Mapping[str, Any]] = self._metadata["data_keys"]
        variables = {
            key: ((_dimensions(key, values.ndim)), values[rows], _attributes(described[key]))
            for key, values in columns.items()
            if key in described
        }
        time = columns.get("time", np.empty(0, np.float64))[rows]
        number = columns.get(_ROW, np.empty(0, np.int64))[rows]
        return xarray.Dataset(variables, {"time": ("time", time), _ROW: ("time", number)}, self.configuration)

    def _columns(self, *, data: bool = True) -> dict[str, NDArray[Any]]:
        """Return each column as long as it is now; a column of arrays may be ahead of the table by some events."""
        columns: dict[str, NDArray[Any]] = {}
        for key, part in self._parts.items():
            if key.startswith(_TABLE) and part.structure_family == "table":
                names = [name for name in part.columns if not name.startswith("ts_")]
                wanted = names if data else [name for name in names if name == _ROW]
                if wanted:
                    table = part.read(wanted)
                    columns.update({name: table[name].to_numpy() for name in wanted})
            elif part.structure_family == "array":
                columns[key] = part[: part.shape[0]] if data else np.empty(part.shape[0], np.bool_)
        return columns


def read_documents(run: Any) -> Documents:
    """Return the documents of a run as Tiled can give them back, arrays as arrays.

    Values and types are those that were measured; the uids of events are made up. A run that was killed has no stop
    document, and events that were not completely written are left out.

    Raises
    ------
    StorageError
        If the clock was set back during the run. Tiled orders documents by their time, so that only the journal has
        the order of its events; each stream alone is still in order, see :func:`read_stream`.
    """
    received = [(name, dict(doc)) for name, doc in run.documents() if doc]
    _require_order(received)
    declared = {doc["uid"]: doc["data_keys"] for name, doc in received if name == "descriptor"}
    documents: Documents = []
    for name, doc in received:
        if name == "descriptor":
            doc["configuration"] = {
                device: {**entry, "data": _as_declared(entry["data"], entry["data_keys"])}
                for device, entry in doc.get("configuration", {}).items()
            }
        elif name == "event":
            keys = declared[doc["descriptor"]]
            if any(key not in doc["data"] and "external" not in keys[key] for key in keys):
                continue
            doc["data"] = _as_declared(doc["data"], keys)
        documents.append((name, doc))
    return documents


def _require_order(documents: Documents) -> None:
    last: dict[str, int] = {}
    for name, doc in documents:
        if name == "descriptor":
            last[doc["uid"]] = 0
        elif name == "event":
            before = last.get(doc["descriptor"], math.inf)
            if doc["seq_num"] < before:
                raise StorageError(
                    "the clock was set back during the run, and Tiled orders its documents by their time; read the run "
                    "from its journal, where it was measured, or each stream alone with read_stream"
                )
            last[doc["descriptor"]] = doc["seq_num"]


def _as_declared(data: Mapping[str, Any], declared: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {key: _as_array(value, declared.get(key, {})) for key, value in data.items()}


def _as_array(value: Any, declared: Mapping[str, Any]) -> Any:
    """Return `value`, a list where JSON had to do, as the array that its data key declares."""
    if declared.get("dtype") != "array" or isinstance(value, np.ndarray):
        return value
    wanted = declared.get("dtype_numpy")
    return np.asarray(value, dtype=wanted if isinstance(wanted, str) else None)


def _rows(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.intp]:
    """Return the rows that all columns have, without those of an event that came twice."""
    if _ROW not in columns:
        return np.empty(0, np.intp)
    length = min(len(column) for column in columns.values())
    _, first = np.unique(columns[_ROW][:length], return_index=True)
    return np.sort(first)


def _dimensions(key: str, number: int) -> tuple[str, ...]:
    return ("time", *(f"{key}_dim_{axis}" for axis in range(number - 1)))


def _attributes(declared: Mapping[str, Any]) -> dict[str, Any]:
    return {name: declared[name] for name in ("units", "source", "object_name") if name in declared}
