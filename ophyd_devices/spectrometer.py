"""The spectrometer: one spectrum at the present position; for a ferroelectric, a hysteresis loop."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Component as Cpt
from ophyd import DeviceStatus, Kind

from ophyd_devices.measuring import Measuring
from ophyd_devices.signals import TypedSignal
from ophyd_devices.waveform import there_and_back


def triangle(amplitude: float, steps_per_cycle: int, cycles: int) -> NDArray[np.float64]:
    """Return the bias of switching spectroscopy: 0 → +A → 0 → −A → 0, `cycles` times.

    Parameters
    ----------
    amplitude : float
        A in V.
    steps_per_cycle : int
        A multiple of 4, so that the waveform reaches +A and −A.
    cycles : int
        Number of cycles.

    Returns
    -------
    (steps_per_cycle · cycles,) float64
        The bias of each step in V.
    """
    quarter = steps_per_cycle // 4
    up = np.arange(quarter) / quarter
    return np.tile(amplitude * np.concatenate([up, 1 - up, -up, up - 1]), cycles)


class StepsSignal(TypedSignal):
    """Steps per cycle of the waveform, a multiple of 4."""

    def check_value(self, value: int) -> None:
        """Raise ValueError unless `value` is a multiple of 4; see also :class:`TypedSignal`."""
        super().check_value(value)
        if value % 4:
            raise ValueError(f"{self.name}: expected a multiple of 4, so that the waveform reaches ±A; got {value}")


class ChannelSignal(TypedSignal):
    """The channel of the spectra that agents learn: one of `choices`."""

    choices: tuple[str, ...] = ()

    def check_value(self, value: str) -> None:
        """Raise ValueError unless the instrument has a channel of this name; see also :class:`TypedSignal`."""
        super().check_value(value)
        if value not in self.choices:
            raise ValueError(
                f"{self.name}: this instrument's spectra have no channel {value!r}, only {', '.join(self.choices)}"
            )


class Spectrometer(Measuring):
    """Takes one spectrum at the present position, of one channel or several.

    Agents learn from ``spectrum`` (K,), the channel that ``quantity`` names; at first that is the instrument's first
    one, for hysteresis loops the off-field loop. An instrument with several channels also records all of them as
    ``channels`` (C, K). The waveform is configuration: the descriptor holds it as ``axis``. It is a triangle of the
    bias, of ``amplitude``, ``steps_per_cycle`` and ``cycles``; where spectra are over the height it lifts the tip by
    ``distance`` and back, each way with ``points``. On a recorded sample the axis is fixed, and no waveform can be
    chosen.
    """

    spectrum = Cpt(TypedSignal, value=np.zeros(1), dims=("step",), writable=False, kind=Kind.normal)
    channels = Cpt(TypedSignal, value=np.zeros((1, 1)), dims=("channel", "step"), writable=False, kind=Kind.normal)
    height = Cpt(TypedSignal, writable=False, kind=Kind.hinted, doc="Largest minus smallest value of the spectrum.")
    snr = Cpt(TypedSignal, writable=False, kind=Kind.hinted, doc="Signal to noise, see signal_to_noise.")
    resonance = Cpt(
        TypedSignal, writable=False, kind=Kind.normal, doc="Fraction of steps where the resonance was found."
    )
    saturated = Cpt(TypedSignal, writable=False, kind=Kind.normal, doc="Fraction of steps at an end of the full scale.")
    time = Cpt(TypedSignal, units="s", writable=False, kind=Kind.normal, doc="Instrument time after the spectrum.")
    amplitude = Cpt(TypedSignal, value=8.0, units="V", kind=Kind.config)
    steps_per_cycle = Cpt(StepsSignal, dtype="<i8", value=32, limits=(8, 4096), kind=Kind.config)
    cycles = Cpt(TypedSignal, dtype="<i8", value=3, limits=(1, 100), kind=Kind.config)
    distance = Cpt(TypedSignal, value=50.0, units="nm", kind=Kind.config)
    points = Cpt(TypedSignal, dtype="<i8", value=128, limits=(4, 4096), kind=Kind.config)
    dwell = Cpt(TypedSignal, value=4.1e-3, units="s", limits=(1e-6, 10.0), kind=Kind.config)
    axis = Cpt(TypedSignal, value=np.zeros(1), dims=("step",), writable=False, kind=Kind.config)
    axis_name = Cpt(TypedSignal, dtype="U", value="", writable=False, kind=Kind.config)
    quantity = Cpt(ChannelSignal, dtype="U", value="", kind=Kind.config)
    channel_names = Cpt(
        TypedSignal, dtype="U", value=np.array([""]), dims=("channel",), writable=False, kind=Kind.config
    )
    channel_units = Cpt(
        TypedSignal, dtype="U", value=np.array([""]), dims=("channel",), writable=False, kind=Kind.config
    )

    _waveforms = {"bias": ("amplitude", "steps_per_cycle", "cycles"), "z": ("distance", "points")}  # noqa: RUF012

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        info = self._link.backend.info
        kind = info.spectroscopy
        self.axis_name.publish(kind.axis_name)
        names = tuple(channel.name for channel in kind.channels)
        self.channel_names.publish(np.array(names))
        self.channel_units.publish(np.array([channel.unit for channel in kind.channels]))
        self.quantity.choices = names
        self.quantity.on_put = self._learn
        self.quantity.publish(kind.quantity)
        self.axis.units = kind.axis_unit
        if not kind.others:
            for signal in (self.channels, self.channel_names, self.channel_units):
                signal.kind = Kind.omitted
        if info.ramp is not None:
            self.distance.limits = (0.0, info.ramp.range_max)
            self.distance.publish(min(self.distance.get(), info.ramp.range_max))
        self.amplitude.limits = (0.0, info.amplitude_max)
        self.amplitude.publish(min(self.amplitude.get(), info.amplitude_max))
        for waveform, waveform_signals in self._waveforms.items():
            for name in waveform_signals:
                if kind.axis is None and waveform == kind.waveform:
                    getattr(self, name).on_put = self._shape
                else:
                    fixed = "the axis of this instrument is fixed; there is no waveform to choose"
                    other = f"this instrument takes spectra over {kind.axis_name}; they have no {name}"
                    getattr(self, name).freeze(other if kind.axis is None else fixed)
                    getattr(self, name).kind = Kind.omitted
        if kind.axis is None:
            self._shape()
        else:
            self._set_axis(kind.axis)
        self._learn()

    @property
    def channel(self) -> int:
        """The number of the channel that agents learn, from 0."""
        number: int = self.quantity.choices.index(self.quantity.get())
        return number

    def trigger(self) -> DeviceStatus:
        """Measure one spectrum.

        The status fails if the tip is not engaged, if tip or sample have taken their dose, or if the spectrum does not
        have all channels, or not the length of the axis.

        Raises
        ------
        EnvelopeError
            If the waveform is outside the envelope.
        """
        self._link.backend.check_waveform(self.axis.get(), self.dwell.get())
        backend, axis, dwell, channel = self._link.backend, self.axis.get(), self.dwell.get(), self.channel
        shape = (len(self.quantity.choices), len(axis))
        full_scale = None if channel else backend.info.spectroscopy.full_scale

        def measure() -> None:
            loop = backend.spectrum(axis, dwell)
            channels = np.asarray(loop.channels, dtype=float)
            if channels.shape != shape:
                raise ValueError(
                    f"{self.name}: expected channels of shape {shape}, the instrument sent {channels.shape}"
                )
            spectrum = channels[channel]
            self.spectrum.publish(spectrum)
            self.channels.publish(channels)
            self.height.publish(float(np.ptp(spectrum)))
            self.snr.publish(signal_to_noise(spectrum))
            self.resonance.publish(float(loop.resonance))
            self.saturated.publish(saturation(spectrum, full_scale))
            self.time.publish(backend.time())

        return self._measure(DeviceStatus(self), measure, 2 * len(axis) * dwell)

    def check(self, places: Iterable[Sequence[float]] = ()) -> None:
        """Raise if spectra cannot be taken at `places` (x, y) in nm, one after the other. Plans call this beforehand.

        Raises
        ------
        EnvelopeError
            If the waveform, a place, or the accumulated dose is outside the envelope.
        ValueError
            If a place is no position (x, y).
        DoseLogError
            If the dose log is damaged or belongs to another session.
        """
        self._link.backend.check_waveform(self.axis.get(), self.dwell.get())
        self._link.backend.check_doses(places)

    def _shape(self) -> None:
        if self._link.backend.info.spectroscopy.waveform == "z":
            self._set_axis(there_and_back(self.distance.get(), self.points.get()))
            return
        self._set_axis(triangle(self.amplitude.get(), self.steps_per_cycle.get(), self.cycles.get()))

    def _set_axis(self, axis: NDArray[np.float64]) -> None:
        self.axis.publish(axis)
        self._blank()

    def _learn(self) -> None:
        unit = self._link.backend.info.spectroscopy.channels[self.channel].unit
        self.spectrum.units = self.height.units = unit
        self._blank()

    def _blank(self) -> None:
        self.spectrum.publish(np.full(len(self.axis.get()), np.nan))
        self.channels.publish(np.full((len(self.quantity.choices), len(self.axis.get())), np.nan))
        for signal in (self.height, self.snr, self.resonance, self.saturated, self.time):
            signal.publish(np.nan)


def signal_to_noise(spectrum: NDArray[np.float64]) -> float:
    """Return the standard deviation of a spectrum over that of its noise.

    The noise is estimated from second differences, to which a smooth spectrum contributes little:
    σ = 1.4826 · median|Δ²| / √6. White noise of deviation σ has second differences of deviation √6·σ; 1.4826 times the
    median of absolute values estimates the deviation of a normal distribution.

    Parameters
    ----------
    spectrum : (K,) float64

    Returns
    -------
    float
        0 for a constant spectrum, for fewer than 3 steps, and if a value is not finite; infinite without noise.
    """
    if len(spectrum) < 3 or not np.isfinite(spectrum).all() or np.ptp(spectrum) == 0:
        return 0.0
    noise = 1.4826 * float(np.median(np.abs(np.diff(spectrum, n=2)))) / np.sqrt(6)
    return float(np.std(spectrum)) / noise if noise > 0 else float("inf")


def saturation(spectrum: NDArray[np.float64], full_scale: tuple[float, float] | None) -> float:
    """Return the fraction of a spectrum's values at or beyond an end of the detector's range.

    Parameters
    ----------
    spectrum : (K,) float64
    full_scale : (low, high) or None
        The range of the detector in the unit of the spectrum; None if it is not known.

    Returns
    -------
    float
        0…1; 0 if the range is not known. NaN counts as not saturated.
    """
    if full_scale is None:
        return 0.0
    low, high = full_scale
    return float(((spectrum <= low) | (spectrum >= high)).mean())
