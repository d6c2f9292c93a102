"""Signals that describe themselves fully: unit, shape, numpy dtype, limits. They cast and check what is put."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import DeviceStatus, Signal
from ophyd.utils import LimitError, ReadOnlyError

_JSON_TYPE = {"f": "number", "i": "integer", "u": "integer", "b": "boolean", "U": "string"}


class TypedSignal(Signal):
    """A soft signal with a fixed numpy dtype and number of dimensions.

    Stock ophyd signals check nothing that is put, so one integer 0 as a default breaks a column of floats in storage.

    Parameters
    ----------
    dtype : str
        Numpy dtype, e.g. ``"<f8"``, ``"<i8"``, ``"|b1"``; ``"U"`` for text.
    value : scalar or array
        Initial value; its number of dimensions is kept for ever. The shape of an array is free unless it is `fixed`.
    fixed : bool
        Only arrays of the initial shape are accepted.
    units : str
        Unit of the value; empty for a pure number.
    limits : (low, high), optional
        Inclusive limits of every element.
    writable : bool
        False for what only the device itself sets, through :meth:`publish`.
    dims : tuple of str, optional
        Names of the dimensions of an array.
    """

    def __init__(
        self,
        *,
        name: str,
        dtype: str = "<f8",
        value: Any = 0.0,
        fixed: bool = False,
        units: str = "",
        limits: tuple[float, float] | None = None,
        writable: bool = True,
        dims: tuple[str, ...] | None = None,
        **kwargs: Any,
    ) -> None:
        self._dtype = np.dtype(dtype)
        self._ndim = np.ndim(value)
        self._shape = np.shape(value) if fixed else None
        self._units = units
        self._limits = limits
        self._writable = writable
        self._dims = dims
        self._frozen = ""
        self.on_put: Callable[[], None] | None = None
        """Called after each put, in the same thread; a device derives other signals there."""
        super().__init__(name=name, value=self._cast(value, name), **kwargs)

    @property
    def limits(self) -> tuple[float, float] | None:
        """Inclusive limits of every element, or None."""
        return self._limits

    @limits.setter
    def limits(self, limits: tuple[float, float] | None) -> None:
        self._limits = limits

    @property
    def units(self) -> str:
        """Unit of the value."""
        return self._units

    @units.setter
    def units(self, units: str) -> None:
        self._units = units

    def freeze(self, reason: str) -> None:
        """Refuse every further put with `reason`."""
        self._writable = False
        self._frozen = reason

    def check_value(self, value: Any) -> None:
        """Raise if `value` cannot be put.

        Raises
        ------
        ReadOnlyError
            If only the device sets this signal.
        ValueError
            If type or shape do not fit or an element is not finite.
        LimitError
            If an element is outside the limits.
        """
        if not self._writable:
            raise ReadOnlyError(f"{self.name} cannot be put: {self._frozen or 'only the instrument sets it'}")
        array = np.asarray(self._cast(value, self.name))
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{self.name}: expected finite values, got {value}")
        if self._limits is not None:
            low, high = self._limits
            if (array < low).any() or (array > high).any():
                raise LimitError(f"{self.name}: {value} is outside {low:g} … {high:g} {self._units}".rstrip())

    def put(self, value: Any, **kwargs: Any) -> None:
        """Check and set the value; see :meth:`check_value` for what it raises."""
        self.check_value(value)
        self.publish(value, **kwargs)
        if self.on_put is not None:
            self.on_put()

    def set(self, value: Any, **_: Any) -> DeviceStatus:
        """Put the value; the status is done at once."""
        self.put(value)
        status = DeviceStatus(self)
        status.set_finished()
        return status

    def publish(self, value: Any, **kwargs: Any) -> None:
        """Set the value from the device itself: cast and shape are checked, limits and finiteness are not."""
        super().put(self._cast(value, self.name), force=True, **kwargs)

    def describe(self) -> dict[str, Any]:
        """Return the data key: what is in :meth:`read`, exactly."""
        value = np.asarray(self._readback)
        key: dict[str, Any] = {
            "source": f"afm:{self.name}",
            "dtype": "array" if self._ndim else _JSON_TYPE[self._dtype.kind],
            "shape": list(value.shape),
        }
        if self._dtype.kind != "U":
            key["dtype_numpy"] = self._dtype.str
            key["units"] = self._units
        elif self._ndim:
            key["dtype_numpy"] = value.dtype.str
        if self._dims is not None:
            key["dims"] = list(self._dims)
        if self._limits is not None:
            key["limits"] = {"control": {"low": float(self._limits[0]), "high": float(self._limits[1])}}
        return {self.name: key}

    def _cast(self, value: Any, name: str) -> Any:
        array = np.asarray(value)
        if array.ndim != self._ndim:
            raise ValueError(f"{name}: expected {self._ndim} dimensions, got shape {array.shape}")
        if self._shape is not None and array.shape != self._shape:
            raise ValueError(f"{name}: expected shape {self._shape}, got {array.shape}")
        cast = self._checked_cast(array, name)
        return cast if self._ndim else cast.item()

    def _checked_cast(self, array: NDArray[Any], name: str) -> NDArray[Any]:
        kind = self._dtype.kind
        wrong = ValueError(f"{name}: expected {_JSON_TYPE[kind]}, got {array.tolist()!r}"[:300])
        if (kind == "U") != (array.dtype.kind == "U") or array.dtype.kind not in "fiubU":
            raise wrong
        if kind in "iu" and array.dtype.kind == "f" and not np.array_equal(array, np.round(array)):
            raise wrong
        if (kind == "b") != (array.dtype.kind == "b"):
            raise wrong
        return array.astype(self._dtype if kind != "U" else array.dtype, copy=True)
