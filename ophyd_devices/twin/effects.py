"""The imperfections of the twin. Each effect has a size; 0 switches it off."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

_LARGEST = {
    "drift": 100.0,  # nm/min
    "creep": 0.1,  # share of a move
    "wear": 0.99,  # share of the response
    "blunting": 1000.0,  # nm
    "memory": 200.0,  # nm
    "bad_loops": 1.0,  # share of the loops
    "feedback_lag": 1.0,  # s
    "tip_radius": 500.0,  # nm
    "force_noise": 1.0,  # share of the setpoint
}


@dataclass(frozen=True)
class Effects:
    """The sizes of the effects of a twin. Without arguments all are off: only the noise of each measurement remains.

    Attributes
    ----------
    drift : float
        Thermal drift between sample and scanner, nm/min.
    creep : float
        Share of a move by which the scanner still creeps in each decade of time after the move.
    wear : float
        Share of the piezoresponse that is lost in 1000 loops.
    blunting : float
        Growth of the tip's radius in 1000 loops, nm. It also smooths the piezoresponse of frames.
    memory : float
        Reach of the tip's field along the surface, nm. A loop writes a domain, which later frames show and from which
        later loops start. A loop of ±8 V switches about as far as the reach.
    bad_loops : float
        Share of loops that go wrong: spikes, a lost resonance, no switching.
    feedback_lag : float
        Time constant of the topography's feedback, s. It is visible where a pixel takes no longer than a few time
        constants.
    tip_radius : float
        Radius of the new tip, nm. It broadens the topography; 0 is a point.
    force_noise : float
        Standard deviation of the measured force, as a share of the setpoint.

    Raises
    ------
    ValueError
        If a size is not a number in its range.
    """

    drift: float = 0.0
    creep: float = 0.0
    wear: float = 0.0
    blunting: float = 0.0
    memory: float = 0.0
    bad_loops: float = 0.0
    feedback_lag: float = 0.0
    tip_radius: float = 0.0
    force_noise: float = 0.0

    def __post_init__(self) -> None:
        for name, largest in _LARGEST.items():
            size = getattr(self, name)
            if isinstance(size, bool) or not isinstance(size, int | float) or not 0 <= size <= largest:
                raise ValueError(f"expected the effect {name!r} as a number from 0 (off) to {largest:g}, got {size!r}")
            object.__setattr__(self, name, float(size))  # the same effects are then the same JSON

    @classmethod
    def realistic(cls) -> "Effects":
        """Return all effects at the sizes of a good instrument an hour after it was switched on.

        Sources
        -------
        drift
            0.5 … 2 nm/min is usual under ambient conditions.
        creep
            An open-loop piezo creeps by 1 … 2 % a decade (Jung and Gweon, Rev. Sci. Instrum. 71, 1896 (2000)). That a
            closed loop leaves a fifth of it is an engineering guess.
        bad_loops
            31 % of the measured band-excitation loops of PbTiO3 that the twin is compared with are marked bad; 20 % is
            an engineering guess for a better day.
        tip_radius
            Metal-coated probes are sold as 25 nm.
        wear, blunting, memory, feedback_lag, force_noise
            Engineering guesses: 10 … 30 % of the signal is lost in 1000 loops, written domains have 20 … 100 nm, the
            feedback has a bandwidth of 80 Hz.
        """
        return cls(
            drift=1.0,
            creep=0.003,
            wear=0.2,
            blunting=15.0,
            memory=45.0,
            bad_loops=0.2,
            feedback_lag=2e-3,
            tip_radius=25.0,
            force_noise=0.02,
        )

    @classmethod
    def of(cls, chosen: "Effects | str | Mapping[str, Any]") -> "Effects":
        """Return the effects that a settings file names: ``"calm"``, ``"realistic"``, or sizes by name.

        Raises
        ------
        ValueError
            If the word or a name is unknown, or a size is out of range.
        """
        if isinstance(chosen, Effects):
            return chosen
        if isinstance(chosen, Mapping):
            return cls._sized(chosen)
        if chosen == "calm":
            return cls()
        if chosen == "realistic":
            return cls.realistic()
        raise ValueError(f"expected effects as 'calm', 'realistic' or sizes by name, got {chosen!r}")

    @classmethod
    def _sized(cls, chosen: Mapping[str, Any]) -> "Effects":
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(chosen) - set(known)):
            raise ValueError(f"unknown effect {', '.join(map(str, unknown))}; known are {', '.join(known)}")
        return cls(**chosen)
