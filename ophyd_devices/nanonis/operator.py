"""The settings that the operator had, read before they are changed and written back afterwards.

A getter and its setter often count differently: ``Scan.PropsGet`` answers 0 for off, where 0 tells ``Scan.PropsSet`` to
change nothing. Here each getter is paired with the setter that restores it.
"""

from collections.abc import Callable
from typing import Any

from ophyd_devices.nanonis.session import Session

NO_CHANGE = float("nan")


def on_off(on: int) -> int:
    """Return what a setter takes (1 on, 2 off) for what a getter answers (1 on, 0 off)."""
    return 1 if on else 2


def _scan_props(answer: list[Any]) -> list[Any]:
    continuous, bouncy, autosave, series, comment, modules, *_ = answer
    return [on_off(continuous), on_off(bouncy), autosave + 1, series, comment, modules, 0]


def _spectrum_props(answer: list[Any]) -> list[Any]:
    save_all, sweeps, backward, points, _, _, autosave, dialog = answer
    return [on_off(save_all), sweeps, on_off(backward), points, NO_CHANGE, on_off(autosave), on_off(dialog)]


def _z_props(answer: list[Any]) -> list[Any]:
    backward, points, _, _, sweeps, autosave, dialog, save_all = answer
    return [on_off(backward), points, sweeps, on_off(autosave), on_off(dialog), on_off(save_all)]


RESTORE: dict[str, tuple[str, Callable[[Any], list[Any]]]] = {
    "Scan.FrameGet": ("Scan.FrameSet", list),
    "Scan.BufferGet": ("Scan.BufferSet", list),
    "Scan.SpeedGet": ("Scan.SpeedSet", lambda answer: [*answer[:4], answer[4] + 1, answer[5]]),
    "Scan.PropsGet": ("Scan.PropsSet", _scan_props),
    "FolMe.SpeedGet": ("FolMe.SpeedSet", list),
    "FolMe.PSOnOffGet": ("FolMe.PSOnOffSet", lambda on: [on]),
    "ZCtrl.SetpntGet": ("ZCtrl.SetpntSet", lambda setpoint: [setpoint]),
    "SafeTip.OnOffGet": ("SafeTip.OnOffSet", lambda on: [on_off(on)]),
    "BiasSpectr.ChsGet": ("BiasSpectr.ChsSet", lambda answer: [answer[0]]),
    "BiasSpectr.PropsGet": ("BiasSpectr.PropsSet", _spectrum_props),
    "BiasSpectr.AdvPropsGet": ("BiasSpectr.AdvPropsSet", lambda answer: [on_off(on) for on in answer]),
    "BiasSpectr.TimingGet": ("BiasSpectr.TimingSet", list),
    "BiasSpectr.MLSModeGet": ("BiasSpectr.MLSModeSet", lambda mode: [mode]),
    "BiasSpectr.MLSLockinPerSegGet": ("BiasSpectr.MLSLockinPerSegSet", lambda on: [on]),
    "BiasSpectr.MLSValsGet": ("BiasSpectr.MLSValsSet", list),
    "ZSpectr.ChsGet": ("ZSpectr.ChsSet", lambda answer: [answer[0]]),
    "ZSpectr.PropsGet": ("ZSpectr.PropsSet", _z_props),
    "ZSpectr.RangeGet": ("ZSpectr.RangeSet", list),
    "ZSpectr.TimingGet": ("ZSpectr.TimingSet", list),
    "ZSpectr.RetractGet": ("ZSpectr.RetractSet", lambda answer: [on_off(answer[0]), *answer[1:]]),
}
"""For each getter, the setter and the function that makes its values from the answer."""


class Operator:
    """Keeps what the operator had set.

    Parameters
    ----------
    session : Session
        The controller.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._kept: dict[str, Any] = {}

    def keep(self, *getters: str) -> None:
        """Read the settings behind these getters, unless they are kept already."""
        for getter in getters:
            if getter not in self._kept:
                self._kept[getter] = self._session.call(getter)

    def restore(self, *getters: str) -> None:
        """Write back what is kept of these getters; without any, all."""
        for getter in getters or tuple(self._kept):
            if getter in self._kept:
                setter, values = RESTORE[getter]
                self._session.call(setter, *values(self._kept[getter]))
                del self._kept[getter]
