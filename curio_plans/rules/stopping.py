"""When a run ends before its last point: its error, or what it may cost, says so."""

from agents.protocols import Estimate
from curio_plans.documents.streams import Ending
from curio_plans.validation import Flag, Frozen, Positive, PositiveWhole

CHECKS = 3
"""An estimate that rests on fewer validation points ends no run: without them it is what the agent makes of itself."""


class StoppingRule(Frozen):
    """When a run ends before its last point; of several rules, the first that says so ends it.

    Attributes
    ----------
    error : float or None
        The agent's estimate of its error over what was not measured is at most this; as for `gain`, it must rest on
        three random validation points of this run.
    cautious : bool
        That estimate is the upper end of its 90 % interval, so the error is larger in one of 20 cases at most if the
        agent knows itself; else it is the estimate itself.
    gain : float or None
        The next `gain_points` points are expected to lower the error by less than this.
    gain_points : int
        See `gain`.
    minutes : float or None
        A further point may end later than so many minutes of the instrument's time after the beginning of the run.
    loops : int or None
        So many spectra were taken: bad ones, further attempts and escalations count.
    """

    error: Positive | None = None
    cautious: Flag = True
    gain: Positive | None = None
    gain_points: PositiveWhole = 10
    minutes: Positive | None = None
    loops: PositiveWhole | None = None

    def model_post_init(self, _: object) -> None:
        """Refuse a rule that would never end a run.

        Raises
        ------
        ValueError
            If none of the four limits is given.
        """
        if not self.asks_agent and self.minutes is None and self.loops is None:
            raise ValueError("expected one or more of error, gain, minutes and loops; none was given")

    @property
    def asks_agent(self) -> bool:
        """Whether the agent must estimate its error."""
        return self.error is not None or self.gain is not None

    def spent(self, records: int, loops: int, seconds: float, expected: float) -> Ending | None:
        """Return the ending where the means are spent, else None.

        Parameters
        ----------
        records : int
            How many records there are.
        loops : int
            Spectra taken so far.
        seconds : float
            Instrument time since the beginning of the run.
        expected : float
            Seconds that the next point takes at most.
        """
        if self.loops is not None and loops >= self.loops:
            return _ending("loops", self.loops, loops, records, f"{loops} taken")
        if self.minutes is not None and seconds + expected > 60 * self.minutes:
            used = f"{seconds / 60:.1f} used, and a further point may take {expected / 60:.1f}"
            return _ending("minutes", self.minutes, seconds / 60, records, used)
        return None

    def satisfied(self, records: int, estimate: Estimate | None) -> Ending | None:
        """Return the ending where the agent knows enough, or would hardly learn more; else, or not yet checked, None.

        Parameters
        ----------
        records : int
            How many records the estimate rests on.
        estimate : Estimate or None
            What the agent believes of its error.
        """
        if estimate is None or estimate.checks < CHECKS:
            return None
        error, gain = estimate.high if self.cautious else estimate.error, self.gain_points * estimate.gain
        if self.error is not None and error <= self.error:
            return _ending("error", self.error, error, records, f"estimated {estimate}")
        if self.gain is not None and gain < self.gain:
            found = f"{gain:.3g} expected of the next {self.gain_points} points"
            return _ending("gain", self.gain, gain, records, found)
        return None


def _ending(rule: str, limit: float, value: float, records: int, found: str) -> Ending:
    return Ending(rule, f"until {rule} {limit:g}: {found}", float(value), records)
