"""The commands of the controller that are used, with the fields of request and response; see :mod:`.wire`.

Units are SI: m, V, A, s, Hz; angles in degrees, time-outs in ms. Most setters take 0 for "no change", 1 for on and
2 for off, while the getters answer 0 for off and 1 for on. Those that switch something with 0 and 1 are marked.
"""

from dataclasses import dataclass

_TIMING = (
    "f32 z_averaging, f32 z_offset, f32 initial_settling, f32 slew_max, f32 settling, f32 integration, "
    "f32 end_settling, f32 z_control"
)
_Z_TIMING = (
    "f32 z_averaging, f32 initial_settling, f32 slew_max, f32 settling, f32 integration, f32 end_settling, "
    "f32 z_control"
)
_SEGMENTS = (
    "i32 n, f32[n] start, f32[n] end, f32[n] initial_settling, f32[n] settling, f32[n] integration, i32[n] steps, "
    "u32[n] lock_in"
)
_SPEED = "f32 forward, f32 backward, f32 forward_time, f32 backward_time, u16 keep, f32 ratio"
_FRAME = "f32 x, f32 y, f32 width, f32 height, f32 angle"
_BUFFER = "i32[] channels, i32 pixels, i32 lines"
_SPECTRA = "strs names, f32[r,c] data, f32[] parameters"


@dataclass(frozen=True)
class Command:
    """The layouts of a command.

    Attributes
    ----------
    takes, returns : str
        Fields of the request and of the response, without the error block.
    """

    takes: str = ""
    returns: str = ""


COMMANDS = {
    "Util.VersionGet": Command("", "str product, str version, u32 host_release, u32 engine_release"),
    "Util.RTFreqGet": Command("", "f32 hertz"),
    "Util.SessionPathGet": Command("", "str path"),
    "Util.AcqPeriodGet": Command("", "f32 seconds"),
    "Util.Lock": Command(),
    "Util.UnLock": Command(),
    "Piezo.RangeGet": Command("", "f32 x, f32 y, f32 z"),
    "Signals.NamesGet": Command("", "strs names"),
    "Signals.RangeGet": Command("i32 index", "f32 maximum, f32 minimum"),
    "Signals.ValGet": Command("i32 index, u32 wait_newest", "f32 value"),
    "Signals.ValsGet": Command("i32[] indexes, u32 wait_newest", "f32[] values"),
    "Bias.Set": Command("f32 volt"),
    "Bias.Get": Command("", "f32 volt"),
    "FolMe.XYPosSet": Command("f64 x, f64 y, u32 wait"),
    "FolMe.XYPosGet": Command("u32 wait_newest", "f64 x, f64 y"),
    "FolMe.SpeedSet": Command("f32 speed, u32 custom"),
    "FolMe.SpeedGet": Command("", "f32 speed, u32 custom"),
    "FolMe.Stop": Command(),
    "FolMe.PSOnOffSet": Command("u32 on"),  # 0 off, 1 on
    "FolMe.PSOnOffGet": Command("", "u32 on"),
    "Scan.Action": Command("u16 action, u32 direction"),
    "Scan.StatusGet": Command("", "u32 running"),
    "Scan.WaitEndOfLine": Command("i32 timeout", "u32 timed_out, i32 line, u16 movement, i32 pass"),
    "Scan.FrameSet": Command(_FRAME),
    "Scan.FrameGet": Command("", _FRAME),
    "Scan.BufferSet": Command(_BUFFER),
    "Scan.BufferGet": Command("", _BUFFER),
    "Scan.PropsSet": Command(
        "u32 continuous, u32 bouncy, u32 autosave, str series, str comment, strs modules, u32 autopaste"
    ),
    "Scan.PropsGet": Command(
        "",
        "u32 continuous, u32 bouncy, u32 autosave, str series, str comment, strs modules, i32[] parameters_per_module, "
        "strs[r,c] parameters, u32 autopaste",
    ),
    "Scan.SpeedSet": Command(_SPEED),
    "Scan.SpeedGet": Command("", _SPEED),
    "Scan.FrameDataGrab": Command("u32 channel, u32 forward", "str name, f32[r,c] data, u32 up"),
    "ZCtrl.OnOffSet": Command("u32 on"),  # 0 off, 1 on
    "ZCtrl.OnOffGet": Command("", "u32 on"),
    "ZCtrl.StatusGet": Command("", "u16 status"),
    "ZCtrl.SetpntSet": Command("f32 setpoint"),
    "ZCtrl.SetpntGet": Command("", "f32 setpoint"),
    "ZCtrl.CtrlListGet": Command("", "strs names, i32 active"),
    "ZCtrl.GainGet": Command("", "f32 proportional, f32 time_constant, f32 integral"),
    "ZCtrl.ZPosGet": Command("", "f32 z"),
    "ZCtrl.LimitsGet": Command("", "f32 high, f32 low"),
    "ZCtrl.Withdraw": Command("u32 wait, i32 timeout"),
    "AutoApproach.Open": Command(),
    "AutoApproach.OnOffSet": Command("u16 on"),  # 0 off, 1 on
    "AutoApproach.OnOffGet": Command("", "u16 on"),
    "SafeTip.OnOffSet": Command("u16 on"),
    "SafeTip.OnOffGet": Command("", "u16 on"),
    "BiasSpectr.Open": Command(),
    "BiasSpectr.Start": Command("u32 get_data, str base_name", _SPECTRA),
    "BiasSpectr.Stop": Command(),
    "BiasSpectr.StatusGet": Command("", "u32 running"),
    "BiasSpectr.ChsSet": Command("i32[] indexes"),
    "BiasSpectr.ChsGet": Command("", "i32[] indexes, strs names"),
    "BiasSpectr.PropsSet": Command(
        "u16 save_all, i32 sweeps, u16 backward, i32 points, f32 z_offset, u16 autosave, u16 dialog"
    ),
    "BiasSpectr.PropsGet": Command(
        "",
        "u16 save_all, i32 sweeps, u16 backward, i32 points, strs parameters, strs fixed, u16 autosave, u16 dialog",
    ),
    "BiasSpectr.AdvPropsSet": Command("u16 reset_bias, u16 z_hold, u16 record_final_z, u16 lock_in"),
    "BiasSpectr.AdvPropsGet": Command("", "u16 reset_bias, u16 z_hold, u16 record_final_z, u16 lock_in"),
    "BiasSpectr.TimingSet": Command(_TIMING),
    "BiasSpectr.TimingGet": Command("", _TIMING),
    "BiasSpectr.MLSModeSet": Command("str mode"),
    "BiasSpectr.MLSModeGet": Command("", "str mode"),
    "BiasSpectr.MLSLockinPerSegSet": Command("u32 on"),  # 0 off, 1 on
    "BiasSpectr.MLSLockinPerSegGet": Command("", "u32 on"),
    "BiasSpectr.MLSValsSet": Command(_SEGMENTS),
    "BiasSpectr.MLSValsGet": Command("", _SEGMENTS),
    "ZSpectr.Open": Command(),
    "ZSpectr.Start": Command("u32 get_data, str base_name", _SPECTRA),
    "ZSpectr.Stop": Command(),
    "ZSpectr.StatusGet": Command("", "u32 running"),
    "ZSpectr.ChsSet": Command("i32[] indexes"),
    "ZSpectr.ChsGet": Command("", "i32[] indexes, strs names"),
    "ZSpectr.PropsSet": Command("u16 backward, i32 points, u16 sweeps, u16 autosave, u16 dialog, u16 save_all"),
    "ZSpectr.PropsGet": Command(
        "",
        "u16 backward, i32 points, strs parameters, strs fixed, u16 sweeps, u16 autosave, u16 dialog, u16 save_all",
    ),
    "ZSpectr.RangeSet": Command("f32 z_offset, f32 distance"),
    "ZSpectr.RangeGet": Command("", "f32 z_offset, f32 distance"),
    "ZSpectr.TimingSet": Command(_Z_TIMING),
    "ZSpectr.TimingGet": Command("", _Z_TIMING),
    "ZSpectr.RetractSet": Command("u16 on, f32 threshold, i32 signal, u16 comparison"),
    "ZSpectr.RetractGet": Command("", "u16 on, f32 threshold, i32 signal, u16 comparison"),
}
"""By name, as the controller spells it."""

SEGMENTS_MAX = 16
"""The controller drops further segments without an error."""
PIXELS_MULTIPLE = 16
"""The controller changes the pixels of a line to the nearest multiple of this."""
