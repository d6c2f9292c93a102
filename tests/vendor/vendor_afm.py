"""The vendorscope as an AfmBackend: a client of its TCP protocol."""

import base64
import math
import socket
import threading
import time

import numpy as np

from ophyd_devices.backend import BackendError, Channel, Info, Interrupted, Loop, Spectroscopy

NM_PER_UM = 1e3
NN_PER_MV = 0.5  # stiffness × sensitivity of the cantilever: measure it for yours
FULL_SPEED = 100_000.0  # nm/s at 100 percent
SETPOINT_RANGE = (1.0, 200.0)
AMPLITUDE_MAX = 10.0


def connect(host="127.0.0.1", port=5100, timeout=5.0):
    """Return the instrument at this address; the options of the backend are the arguments of this function."""
    return VendorBackend(host, port, timeout)


class VendorBackend:
    """One method for each member of AfmBackend; each returns when it is done."""

    def __init__(self, host, port, timeout):
        self._address = host, port
        self._timeout = timeout
        self._lock = threading.Lock()  # stop() comes from another thread, and one line belongs to one reply
        self._stopped = False
        self._socket = None
        name, version, width, height = self._ask("HELLO")
        self._facts = {"instrument": name, "firmware": version}
        self.info = Info(
            channels=(
                Channel("topography", "nm"),
                Channel("amplitude", "a.u."),
                Channel("phase", "deg"),
                Channel("polarisation", "a.u."),
            ),
            spectroscopy=Spectroscopy(
                "off-field piezoresponse", "a.u.", "bias", "V", others=(Channel("on-field piezoresponse", "a.u."),)
            ),
            scan_range=(0.0, float(width) * NM_PER_UM, 0.0, float(height) * NM_PER_UM),
            pixels=(128, 128),
            fixed_frame=False,
            setpoint_range=SETPOINT_RANGE,
            amplitude_max=AMPLITUDE_MAX,
            simulated=False,
        )

    def describe(self):
        return dict(self._facts)

    def time(self):
        (seconds,) = self._ask("CLOCK")
        return float(seconds)

    def position(self):
        x, y = self._ask("POS")
        return float(x) * NM_PER_UM, float(y) * NM_PER_UM

    def move(self, x, y, velocity, settle):
        if not (math.isfinite(x) and math.isfinite(y)):
            raise BackendError(f"expected a finite place in nm, got ({x}, {y}); nothing moved")
        x_min, x_max, y_min, y_max = self.info.scan_range
        if not (x_min <= x <= x_max and y_min <= y <= y_max):
            raise BackendError(f"({x:g}, {y:g}) nm is outside the scan range {self.info.scan_range}; nothing moved")
        percent = 100 * velocity / FULL_SPEED
        if not 0 < percent <= 100:
            raise BackendError(f"expected a velocity of up to {FULL_SPEED:g} nm/s, got {velocity:g}; nothing moved")
        self._do(f"GOTO {x / NM_PER_UM!r} {y / NM_PER_UM!r} {percent!r}")
        time.sleep(settle)  # this controller does not know of settling

    def engage(self, setpoint):
        low, high = SETPOINT_RANGE
        if not low <= setpoint <= high:
            raise BackendError(f"expected a setpoint of {low:g} … {high:g} nN, got {setpoint:g}; the tip stays")
        self._do(f"LAND {setpoint / NN_PER_MV!r}")

    def withdraw(self):
        self._ask("LIFT")

    def in_contact(self):
        touching, _ = self._ask("SENSE")
        return touching == "1"

    def force(self):
        _, millivolt = self._ask("SENSE")
        return float(millivolt) * NN_PER_MV

    def keep_alive(self, seconds):
        """The vendorscope has no watchdog; if yours has one, arm it here."""

    def frame(self, area, pixels, line_rate, progress):
        edges = " ".join(repr(edge / NM_PER_UM) for edge in area)
        self._do(f"SCAN {edges} {pixels[0]} {pixels[1]} {line_rate!r}", progress)
        progress(pixels[0], pixels[0])
        *shape, data = self._ask("DATA")
        return self._numbers(data, "<f4", shape)

    def spectrum(self, bias, dwell):
        volts = base64.b64encode(np.asarray(bias, "<f8").tobytes()).decode()
        self._do(f"SWEEP {dwell * 1e6!r} {volts}")
        *shape, data = self._ask("DATA")
        off, on = self._numbers(data, "<f8", shape)
        return Loop(off, on[None])

    def reference(self, positions, bias, channel=0):
        return None  # no real instrument knows the truth

    def stop(self):
        self._stopped = True
        self._ask("ABORT")

    def close(self):
        if self._socket is not None:
            self.withdraw()
            self._hang_up()

    def _do(self, command, progress=None):
        """Start an action and wait until it has ended."""
        self._stopped = False
        self._ask(command)
        while True:
            state, *rest = self._ask("STAT")
            if state == "aborted":
                raise Interrupted(f"{command.split()[0]} was stopped")
            if state == "idle":
                return
            done, total = int(rest[0]), int(rest[1])
            if progress is not None and 0 < done < total:
                progress(done, total)
            if self._stopped:  # a stop that came while the action started was lost
                self._ask("ABORT")
            time.sleep(0.01)

    def _ask(self, command):
        """Send a line and return the fields of the reply; connect again after a lost connection, but never repeat."""
        with self._lock:
            try:
                if self._socket is None:
                    self._socket = socket.create_connection(self._address, self._timeout)
                    self._lines = self._socket.makefile("rb")
                self._socket.sendall(command.encode("ascii") + b"\n")
                reply = self._lines.readline().decode("ascii")
            except OSError as error:
                self._hang_up()
                raise self._lost(command, str(error)) from error
            if not reply:
                self._hang_up()
                raise self._lost(command, "it closed the connection")
        status, _, text = reply.strip().partition(" ")
        if status != "OK":
            raise BackendError(f"the vendorscope refused {command.split()[0]}: {text}")
        return text.split()

    def _lost(self, command, why):
        return BackendError(
            f"no answer from the vendorscope at {self._address} to {command.split()[0]} ({why}); the tip's state is "
            "not known. Check power and network, and lift the tip by hand if need be"
        )

    def _hang_up(self):
        if self._socket is not None:
            self._lines.close()
            self._socket.close()
            self._socket = None

    @staticmethod
    def _numbers(text, dtype, shape):
        values = np.frombuffer(base64.b64decode(text), dtype)
        return values.reshape([int(length) for length in shape]).copy()
