"""The tip: the Z controller, the approach, and the force."""

from ophyd_devices.backend import BackendError
from ophyd_devices.nanonis.operator import Operator
from ophyd_devices.nanonis.session import POLL_S, Session, Signal

OFF, ON, HOLD, SAFE_TIP = 1, 2, 3, 5
"""Status of the Z controller."""
MARGIN = 1e-3
"""Closer to a limit of Z than this share of its range, the tip does not touch: it is lifted, or found no surface."""
SWITCH_S = 2.0
"""The feedback may take so long to switch on, s."""
WITHDRAW_S = 30.0
"""The time that a withdrawal may take, s."""


class Tip:
    """Brings the tip into contact and off the surface.

    Parameters
    ----------
    session : Session
        The controller.
    operator : Operator
        Keeps the setpoint and the SafeTip.
    deflection : Signal
        What the Z controller regulates.
    force_per_unit : float
        Force in nN for one of the controller's units of `deflection`; may be negative.
    auto_approach : bool
        Use the motor of the coarse approach when the surface is not within reach of Z.
    safe_tip : bool
        Switch on the controller's SafeTip with the first contact.
    approach_s : float
        An approach that takes longer is given up, s.
    tolerance : float
        The tip is in contact when the signal is this share of the setpoint near it.
    """

    def __init__(
        self,
        session: Session,
        operator: Operator,
        deflection: Signal,
        force_per_unit: float,
        *,
        auto_approach: bool,
        safe_tip: bool,
        approach_s: float,
        tolerance: float,
    ) -> None:
        self._session, self._operator, self._deflection = session, operator, deflection
        self._force_per_unit, self._auto_approach, self._safe_tip = force_per_unit, auto_approach, safe_tip
        self._approach_s, self._tolerance = approach_s, tolerance

    def in_contact(self) -> bool:
        """Return whether the feedback is on, or holds, and Z is away from both limits."""
        return self._session.call("ZCtrl.StatusGet") in (ON, HOLD) and self._is_between_limits()

    def force(self) -> float:
        """Return the measured force in nN; 0 off the surface."""
        return self._measured() if self.in_contact() else 0.0

    def engage(self, setpoint: float) -> None:
        """Approach until the force is that of the setpoint; in contact, change the setpoint.

        Raises
        ------
        BackendError
            If the SafeTip was triggered, or no surface was found; the tip is then withdrawn.
        Interrupted
            If it was stopped; the tip is then withdrawn.
        """
        call = self._session.call
        if call("ZCtrl.StatusGet") == SAFE_TIP:
            raise BackendError(
                "the controller's SafeTip has lifted the tip; check the tip and the SafeTip's threshold, then withdraw "
                "and try again"
            )
        self._operator.keep("ZCtrl.SetpntGet")
        call("ZCtrl.SetpntSet", setpoint / self._force_per_unit)
        if self.in_contact():
            return
        if self._safe_tip:
            self._operator.keep("SafeTip.OnOffGet")
            call("SafeTip.OnOffSet", 1)
        try:
            if self._auto_approach:
                call("AutoApproach.Open")
                with self._session.acting("the approach", "AutoApproach.OnOffSet", 0):
                    call("AutoApproach.OnOffSet", 1)
                    if self._session.poll("AutoApproach.OnOffGet", (0,), self._approach_s):
                        raise BackendError(f"the approach did not end within {self._approach_s:g} s")
            with self._session.acting("the approach", "ZCtrl.OnOffSet", 0):
                call("ZCtrl.OnOffSet", 1)
                self._wait_for(setpoint)
        except BaseException:
            if not self._session.lost:
                self.withdraw()
            raise

    def withdraw(self) -> None:
        """Switch the feedback off and lift the tip to the upper limit of Z. Nothing stops it.

        Raises
        ------
        BackendError
            If the tip is not there afterwards.
        """
        call = self._session.call
        call("ZCtrl.Withdraw", 1, int(WITHDRAW_S * 1e3), timeout=self._session.timeout + WITHDRAW_S)
        status, z = call("ZCtrl.StatusGet"), call("ZCtrl.ZPosGet")
        high, low = call("ZCtrl.LimitsGet")
        if status != OFF or z < high - 0.05 * (high - low):
            raise BackendError(
                f"the tip is not withdrawn: the Z controller has status {status} (expected {OFF}), Z is {z * 1e9:.4g} "
                f"nm (its upper limit is {high * 1e9:.4g} nm); lift it by hand"
            )

    def _wait_for(self, setpoint: float) -> None:
        waited, step = 0.0, POLL_S
        while True:
            status = self._session.call("ZCtrl.StatusGet")
            if status == SAFE_TIP:
                raise BackendError("the controller's SafeTip lifted the tip during the approach; check its threshold")
            if status == OFF and waited > SWITCH_S:
                raise BackendError("the Z controller does not stay on; look at it in the controller's software")
            force = self._measured()
            if status == ON and self._is_between_limits() and abs(force - setpoint) <= self._tolerance * setpoint:
                return
            if waited > self._approach_s:
                raise BackendError(
                    f"no contact within {self._approach_s:g} s: the force is {force:g} nN with a setpoint of "
                    f"{setpoint:g} nN, the Z controller has status {status}; approach with the controller's own "
                    "software first, or use auto_approach = true"
                )
            self._session.sleep(step)
            waited += step

    def _is_between_limits(self) -> bool:
        high, low = self._session.call("ZCtrl.LimitsGet")
        margin = MARGIN * (high - low)
        return bool(low + margin < self._session.call("ZCtrl.ZPosGet") < high - margin)

    def _measured(self) -> float:
        return float(self._session.call("Signals.ValGet", self._deflection.index, 1)) * self._force_per_unit
