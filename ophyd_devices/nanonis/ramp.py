"""Spectra over the height: the controller's Z spectroscopy lifts the tip and brings it back."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.backend import BackendError, Channel, Loop
from ophyd_devices.nanonis.geometry import NM
from ophyd_devices.nanonis.operator import NO_CHANGE, Operator
from ophyd_devices.nanonis.session import Session, Signal

SLACK_S = 30.0
"""A ramp may take twice the time of its steps, and this."""
OFF, ON, DATA, ABOVE, BELOW = 2, 1, 1, 0, 1
BACKWARD = "{name} [bwd] ({unit})"
"""How the controller names a signal on the way back."""
SETTINGS = ("ZSpectr.ChsGet", "ZSpectr.PropsGet", "ZSpectr.RangeGet", "ZSpectr.TimingGet", "ZSpectr.RetractGet")


class Ramps:
    """Lifts the tip and brings it back, with the feedback off, and records the signals on both ways.

    The controller retracts at once when the deflection is beyond the trigger force.

    Parameters
    ----------
    session : Session
        The controller.
    operator : Operator
        Keeps the settings of the module.
    signals : sequence of Signal
        What is recorded.
    deflection : Signal
        The signal of the force; where it is recorded, the channel is the force in nN.
    force_per_unit : float
        Force in nN for one of its units.
    trigger_force : float
        In nN.
    z_sign : int
        1 if a positive distance lifts the tip, else -1. No source says which.

    Attributes
    ----------
    channels : tuple of Channel
        The channels of a spectrum.
    """

    def __init__(
        self,
        session: Session,
        operator: Operator,
        signals: Sequence[Signal],
        deflection: Signal,
        force_per_unit: float,
        *,
        trigger_force: float,
        z_sign: int,
    ) -> None:
        self._session, self._operator, self._signals = session, operator, signals
        self._deflection, self._force_per_unit = deflection, force_per_unit
        self._trigger_force, self._z_sign = trigger_force, z_sign
        self.channels = tuple(
            Channel("force", "nN") if signal == deflection else Channel(signal.name, signal.unit) for signal in signals
        )

    def measure(self, heights: NDArray[np.float64], dwell: float) -> Loop:
        """Follow `heights` (2 M,) in nm, from 0 up to the largest and back, with `dwell` s for each.

        Raises
        ------
        BackendError
            If that is no way there and back, or the force went beyond the trigger force, or the controller moved
            otherwise.
        """
        call, points, distance = self._session.call, len(heights) // 2, float(heights.max())
        up = np.linspace(0.0, distance, points)
        if points < 2 or len(heights) % 2 or not np.allclose(heights, np.concatenate([up, up[::-1]]), atol=1e-6):
            raise BackendError("expected heights from 0 evenly up and back down the same way; nothing moved")
        call("ZSpectr.Open")
        self._operator.keep(*SETTINGS)
        call("ZSpectr.ChsSet", [signal.index for signal in self._signals])
        call("ZSpectr.PropsSet", ON, points, 1, OFF, OFF, OFF)
        call("ZSpectr.RangeSet", 0.0, self._z_sign * distance * NM)
        call("ZSpectr.TimingSet", *[NO_CHANGE] * 3, dwell / 2, dwell / 2, *[NO_CHANGE] * 2)
        threshold = self._trigger_force / self._force_per_unit
        call("ZSpectr.RetractSet", ON, threshold, self._deflection.index, ABOVE if threshold > 0 else BELOW)
        with self._session.acting("the spectrum", "ZSpectr.Stop"):
            patience = self._session.timeout + 2 * len(heights) * dwell + SLACK_S
            names, data, _ = call("ZSpectr.Start", DATA, "", timeout=patience)
        self._check(names, data, distance, points)
        channels = np.stack([self._of(signal, names, data) for signal in self._signals])
        return Loop(channels[0], channels[1:] if len(channels) > 1 else None)

    def _check(self, names: list[str], data: NDArray[np.float32], distance: float, points: int) -> None:
        wanted = [name for signal in self._signals for name in (signal.label, _backward(signal))]
        missing = [name for name in wanted if name not in names]
        if missing or data.shape[0] != len(names):
            raise BackendError(f"expected the signals {wanted}, the controller sent {names} in {data.shape[0]} rows")
        if data.shape[1] != points:
            raise BackendError(
                f"expected {points} points of a ramp, the controller sent {data.shape[1]}: the force may have gone "
                f"beyond the trigger force of {self._trigger_force:g} nN; look at the tip"
            )
        moved = np.abs(data[0].astype(np.float64) - data[0, 0]) / NM
        if np.abs(moved - np.linspace(0, distance, points)).max() > max(0.02 * distance, 0.1):
            raise BackendError(f"the controller moved to {moved.max():g} nm, it was told {distance:g} nm")

    def _of(self, signal: Signal, names: list[str], data: NDArray[np.float32]) -> NDArray[np.float64]:
        scale = self._force_per_unit if signal == self._deflection else signal.scale
        there, back = (data[names.index(name)].astype(np.float64) for name in (signal.label, _backward(signal)))
        return scale * np.concatenate([there, back[::-1]])  # both ways are sent from the lowest point on


def _backward(signal: Signal) -> str:
    name, _, unit = signal.label.rpartition(" (")
    return BACKWARD.format(name=name, unit=unit.removesuffix(")"))
