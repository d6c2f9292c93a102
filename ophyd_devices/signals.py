"""Signals with a fixed unit, numpy dtype, shape and limits. They cast and check every value that is put."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import DeviceStatus, Signal
from ophyd.utils import LimitError, ReadOnlyError

_JSON_TYPE = {"f": "number", "i": "integer", "u": "integer", "b": "boolean", "U": "string"}


class TypedSignal(Signal):
    """A soft signal with a fixed numpy dtype and number of dimensions.

    Stock ophyd signals accept any value: a single integer 0 in a column of floats then breaks the storage.

    Parameters
    ----------
    dtype : str
        Numpy dtype, e.g. ``"<f8"``, ``"<i8"``, ``"|b1"``; ``"U"`` for text.
    value : scalar or array
        Initial value. Its number of dimensions never changes; the shape of an array may, unless it is `fixed`.
    fixed : bool
        Accept only arrays of the initial shape.
    units : str
        Unit of the value; empty for a pure number.
    limits : (low, high), optional
        Inclusive limits of every element.
    writable : bool
        False for a signal that only the device itself sets, through :meth:`publish`.
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
        """Called after each put, in the same thread; devices use it to update signals that depend on this one."""
        super().__init__(name=name, **kwargs)
        self.publish(value)

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
        """Refuse every later put; the error gives `reason`."""
        self._writable = False
        self._frozen = reason

    def check_value(self, value: Any) -> None:
        """Raise if `value` cannot be put.

        Raises
        ------
        ReadOnlyError
            If only the device sets this signal.
        ValueError
            If the type or the shape does not fit, or an element is not finite.
        LimitError
            If an element is outside the limits.
        """
        if not self._writable:
            raise ReadOnlyError(f"{self.name} cannot be put: {self._frozen or 'only the instrument sets it'}")
        array = self._array(value, copy=False)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{self.name}: expected finite values, got {_excerpt(array)}")
        if self._limits is not None:
            low, high = self._limits
            if (array < low).any() or (array > high).any():
                raise LimitError(f"{self.name}: {_excerpt(array)} is outside {low:g} … {high:g} {self._units}".rstrip())

    def put(self, value: Any, **kwargs: Any) -> None:
        """Check and set the value; see :meth:`check_value` for what it raises."""
        self.check_value(value)
        self.publish(value, **kwargs)
        if self.on_put is not None:
            self.on_put()

    def set(self, value: Any, **_: Any) -> DeviceStatus:
        """Put the value and return a finished status."""
        self.put(value)
        status = DeviceStatus(self)
        status.set_finished()
        return status

    def publish(self, value: Any, **kwargs: Any) -> None:
        """Set the value from the device itself. Type and shape are checked, limits and finiteness are not."""
        super().put(self._cast(value), force=True, **kwargs)

    def describe(self) -> dict[str, Any]:
        """Return the data key: exactly what :meth:`read` returns."""
        value = np.asarray(self.get())
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

    def _cast(self, value: Any) -> Any:
        """Return a copy of `value` with the dtype of this signal; a scalar becomes a plain Python value."""
        array = self._array(value, copy=True)
        return array if self._ndim else array.item()

    def _array(self, value: Any, *, copy: bool) -> NDArray[Any]:
        """Return `value` with the dtype of this signal; raise ValueError where type or shape do not fit."""
        if np.ma.is_masked(value):
            raise ValueError(f"{self.name}: expected values without a mask, some are masked; fill them with NaN")
        array = np.asarray(value)
        if array.ndim != self._ndim:
            raise ValueError(f"{self.name}: expected {self._ndim} dimensions, got shape {array.shape}")
        if self._shape is not None and array.shape != self._shape:
            raise ValueError(f"{self.name}: expected shape {self._shape}, got {array.shape}")
        if not self._fits(array):
            raise ValueError(f"{self.name}: expected {_JSON_TYPE[self._dtype.kind]}, got {_excerpt(array)}")
        return array.astype(array.dtype if self._dtype.kind == "U" else self._dtype, copy=copy)

    def _fits(self, array: NDArray[Any]) -> bool:
        """Return whether the cast to the dtype of this signal loses nothing but precision."""
        kind, given = self._dtype.kind, array.dtype.kind
        if kind in "Ub":
            return given == kind
        if given not in "fiu":
            return False
        if kind in "iu" and array.size:
            bounds = np.iinfo(self._dtype)
            whole = bool((array == np.round(array)).all())  # NaN is not
            return whole and bool(bounds.min <= array.min() and array.max() <= bounds.max)
        return True


def _excerpt(array: NDArray[Any]) -> str:
    """Return a short text of `array` for an error message; formatting every value of a frame takes a second."""
    text = repr(array.tolist()) if array.size <= 8 else np.array2string(array, threshold=8, edgeitems=2)
    return text if len(text) <= 200 else f"{text[:200]} …"
