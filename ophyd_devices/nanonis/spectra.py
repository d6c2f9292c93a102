"""Spectra over the bias: swept by the controller, or stepped by this computer with a rest after each pulse."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ophyd_devices.backend import BackendError, Channel, Loop
from ophyd_devices.nanonis.commands import SEGMENTS_MAX
from ophyd_devices.nanonis.operator import NO_CHANGE, Operator
from ophyd_devices.nanonis.session import Session, Signal
from ophyd_devices.waveform import along, corners

SLACK_S = 30.0
"""A sweep may take twice the time of its steps, and this."""
SAME_V = 1e-3
"""A bias that differs less was not changed, V."""
OFF, ON, MLS, DATA = 2, 1, "MLS", 1
SETTINGS = (
    "BiasSpectr.ChsGet",
    "BiasSpectr.PropsGet",
    "BiasSpectr.AdvPropsGet",
    "BiasSpectr.TimingGet",
    "BiasSpectr.MLSModeGet",
    "BiasSpectr.MLSLockinPerSegGet",
    "BiasSpectr.MLSValsGet",
)


class Sweep:
    """The controller's bias spectroscopy in multi-line-segment mode: the signals while the bias is applied.

    It is exact in time. A waveform has at most 16 straight segments: 7 triangular cycles.

    Parameters
    ----------
    session : Session
        The controller.
    operator : Operator
        Keeps the settings of the module.
    signals : sequence of Signal
        What is recorded.
    hold_z : bool
        Switch the Z feedback off during the sweep, as STS needs it.

    Attributes
    ----------
    channels : tuple of Channel
        The channels of a spectrum.
    """

    def __init__(self, session: Session, operator: Operator, signals: Sequence[Signal], hold_z: bool) -> None:
        self._session, self._operator, self._signals, self._hold_z = session, operator, signals, hold_z
        self.channels = tuple(Channel(signal.name, signal.unit) for signal in signals)

    def measure(self, bias: NDArray[np.float64], dwell: float) -> Loop:
        """Sweep `bias` (K,) with `dwell` s per step, half of it to settle and half to integrate.

        Raises
        ------
        BackendError
            If the waveform has too many segments, or the controller swept something else.
        """
        call, edges = self._session.call, corners(bias)
        count = len(edges) - 1
        if count > SEGMENTS_MAX:
            raise BackendError(
                f"the waveform has {count} straight segments, the controller takes {SEGMENTS_MAX}; choose fewer "
                "cycles, or mode = 'pulses'. Nothing was applied"
            )
        call("BiasSpectr.Open")
        self._operator.keep(*SETTINGS)
        call("BiasSpectr.ChsSet", [signal.index for signal in self._signals])
        call("BiasSpectr.PropsSet", OFF, 1, OFF, 0, NO_CHANGE, OFF, OFF)
        call("BiasSpectr.AdvPropsSet", ON, ON if self._hold_z else OFF, 0, 0)
        call("BiasSpectr.TimingSet", NO_CHANGE, 0.0, *[NO_CHANGE] * 6)
        call("BiasSpectr.MLSModeSet", MLS)
        call("BiasSpectr.MLSLockinPerSegSet", 0)
        steps = np.diff(edges) + 1  # both ends of a segment are measured
        none, half = [0] * count, [dwell / 2] * count
        call("BiasSpectr.MLSValsSet", count, bias[edges[:-1]], bias[edges[1:]], none, half, half, steps, none)
        before = call("Bias.Get")
        try:
            with self._session.acting("the spectrum", "BiasSpectr.Stop"):
                patience = self._session.timeout + 2 * float(steps.sum()) * dwell + SLACK_S
                names, data, _ = call("BiasSpectr.Start", DATA, "", timeout=patience)
        finally:
            if not self._session.lost and abs(call("Bias.Get") - before) > SAME_V:
                call("Bias.Set", before)
        channels = [self._of(signal, names, data, bias) for signal in self._signals]
        return Loop(channels[0], np.stack(channels[1:]) if len(channels) > 1 else None)

    def _of(
        self, signal: Signal, names: list[str], data: NDArray[np.float32], bias: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the recorded signal at the steps of `bias`; row 0 of `data` is the swept bias."""
        if signal.label not in names or data.shape[0] != len(names) or not data.shape[1]:
            raise BackendError(
                f"expected a spectrum of {signal.label!r}, the controller sent {names} in {data.shape[0]} rows "
                f"of {data.shape[1]} points"
            )
        values = data[names.index(signal.label)].astype(np.float64) * signal.scale
        spectrum = along(bias, data[0].astype(np.float64), values)
        if spectrum is None:
            raise BackendError("the controller swept another waveform than it was given; look at its bias spectroscopy")
        return spectrum


class Pulses:
    """Pulses of the bias, each followed by a rest at 0 V: the signals at rest and, beside them, during the pulse.

    This computer steps the bias and reads the signals, so that pulse and rest are at least `dwell` s long, and longer
    by the time that the controller needs to answer: up to two of its acquisition periods for each reading.

    Parameters
    ----------
    session : Session
        The controller.
    signals : sequence of Signal
        What is read.

    Attributes
    ----------
    channels : tuple of Channel
        The channels of a spectrum: each signal at rest, then each during the pulse.
    """

    def __init__(self, session: Session, signals: Sequence[Signal]) -> None:
        self._session, self._signals = session, signals
        self.channels = tuple(
            Channel(f"{when} {signal.name}", signal.unit) for when in ("off-field", "on-field") for signal in signals
        )

    def measure(self, bias: NDArray[np.float64], dwell: float) -> Loop:
        """Apply each step of `bias` (K,) for `dwell` s, then 0 V for `dwell` s."""
        before, channels = self._session.call("Bias.Get"), np.empty((2, len(self._signals), len(bias)))
        try:
            with self._session.acting("the spectrum", "Bias.Set", before):
                for step, volt in enumerate(bias):
                    channels[1, :, step] = self._read_at(float(volt), dwell)
                    channels[0, :, step] = self._read_at(0.0, dwell)
        finally:
            if not self._session.lost:
                self._session.call("Bias.Set", before)
        flat = channels.reshape(-1, len(bias))
        return Loop(flat[0], flat[1:])

    def _read_at(self, volt: float, dwell: float) -> list[float]:
        self._session.call("Bias.Set", volt)
        self._session.sleep(dwell)
        values = self._session.call("Signals.ValsGet", [signal.index for signal in self._signals], 1)
        return [float(value) * signal.scale for value, signal in zip(values, self._signals, strict=True)]
