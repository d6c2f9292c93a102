"""Setting the microscope for one run, and setting it back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from curio_plans.rules.setup import Setup
from curio_plans.run.microscope import Microscope

_DEVICES = {
    "area": "imager", "pixels": "imager", "line_rate": "imager", "velocity": "scanner", "setpoint": "tip",
}  # fmt: skip
"""Where a setting lives; all others in the spectrometer."""
_NAMES = {"ramp_points": "points"}


@contextmanager
def set_up(afm: Microscope, setup: Setup | None) -> Iterator[None]:
    """Return a context in which the microscope is set as `setup` says; afterwards it is set as before.

    These are settings of our own devices: the instrument gets them with the command that they belong to, and nothing
    moves here. So they are no messages of a plan, and hold as well where a plan is only checked or rehearsed.

    Raises
    ------
    ValueError
        If the instrument or the envelope refuses one; then none is changed.
    """
    before = apply_setup(afm, setup)
    try:
        yield
    finally:
        _put_back(before)


def apply_setup(afm: Microscope, setup: Setup | None) -> list[tuple[Any, Any]]:
    """Set the microscope for good; return each signal that was set and its value before. Raises as :func:`set_up`."""
    before: list[tuple[Any, Any]] = []
    for name, value in ({} if setup is None else setup.given()).items():
        signal = getattr(getattr(afm, _DEVICES.get(name, "spectrometer")), _NAMES.get(name, name))
        old = signal.get()
        try:
            signal.put(value)
        except Exception as error:  # ophyd has errors of its own for what is out of its limits or cannot be set
            _put_back(before)
            raise ValueError(f"setup: {name} = {value}: {error}") from error
        before.append((signal, old))
    return before


def _put_back(before: list[tuple[Any, Any]]) -> None:
    for signal, value in reversed(before):
        signal.put(value)
