"""An invented instrument with a line protocol over TCP, as vendors use them.

One command per line, ASCII, fields separated by spaces; one reply per line: ``OK field …`` or ``ERR number text``. It
has its own units: micrometres, volts, millivolts of deflection for the setpoint, percent for the velocity. Long actions
are started, then polled with ``STAT`` until they are done; numbers come as base64 of little-endian floats. Each reply
takes a moment. The twin simulates what happens under the tip.

    HELLO                         OK vendorscope 2.1 x_um y_um
    POS                           OK x_um y_um
    GOTO x_um y_um percent        OK          (starts)
    LAND millivolt                OK          (starts)
    LIFT                          OK          (when it is done)
    SENSE                         OK 0|1 millivolt
    SCAN x0 x1 y0 y1 ny nx hz     OK          (starts)
    SWEEP dwell_us base64         OK          (starts)
    STAT                          OK idle | OK busy done total | OK aborted | ERR 7 text
    DATA                          OK channels ny nx base64 | OK loops steps base64
    ABORT                         OK
    CLOCK                         OK seconds
    DROP                          closes the connection, as a bad cable does
"""

import base64
import socketserver
import sys
import threading
import time

import numpy as np

from ophyd_devices.backend import BackendError, Interrupted
from ophyd_devices.twin import twin

LATENCY_S = 0.001
NN_PER_MV = 0.5
FULL_SPEED = 100_000.0
"""nm/s at 100 percent."""


class Instrument:
    """What all connections talk to."""

    def __init__(self, seed, real_time):
        self.twin = twin(seed=seed, real_time=real_time)
        self.commands = threading.Lock()
        self.state = "idle"
        self.error = ""
        self.progress = (0, 0)
        self.data = ""
        self.running = None

    def answer(self, line):
        verb, *fields = line.split()
        handler = getattr(self, f"on_{verb.lower()}", None)
        if handler is None:
            return f"ERR 1 unknown command {verb}"
        try:
            return f"OK {handler(*fields)}".rstrip()
        except TypeError:
            return f"ERR 2 wrong number of fields for {verb}"
        except ValueError as error:
            return f"ERR 3 {error}"
        except BackendError as error:
            return f"ERR 4 {error}"

    def start(self, action):
        if self.running is not None and self.running.is_alive():
            raise BackendError("busy")
        self.state, self.error, self.progress = "busy", "", (0, 0)
        self.running = threading.Thread(target=self._run, args=(action,), daemon=True)
        self.running.start()
        return ""

    def _run(self, action):
        try:
            action()
            self.state = "idle"
        except Interrupted:
            self.state = "aborted"
        except BackendError as error:
            self.state, self.error = "failed", str(error)

    def on_hello(self):
        _, width, _, height = self.twin.info.scan_range
        return f"vendorscope 2.1 {width / 1e3} {height / 1e3}"

    def on_pos(self):
        x, y = self.twin.position()
        return f"{x / 1e3!r} {y / 1e3!r}"

    def on_goto(self, x, y, percent):
        return self.start(
            lambda: self.twin.move(float(x) * 1e3, float(y) * 1e3, float(percent) / 100 * FULL_SPEED, 0.0)
        )

    def on_land(self, millivolt):
        return self.start(lambda: self.twin.engage(float(millivolt) * NN_PER_MV))

    def on_lift(self):
        self.twin.stop()
        if self.running is not None:
            self.running.join()
        self.twin.withdraw()
        return ""

    def on_sense(self):
        return f"{int(self.twin.in_contact())} {self.twin.force() / NN_PER_MV!r}"

    def on_scan(self, x0, x1, y0, y1, ny, nx, hz):
        area = tuple(float(edge) * 1e3 for edge in (x0, x1, y0, y1))

        def scan():
            frame = self.twin.frame(area, (int(ny), int(nx)), float(hz), self._advance)
            self.data = " ".join([*map(str, frame.shape), base64.b64encode(frame.astype("<f4").tobytes()).decode()])

        return self.start(scan)

    def on_sweep(self, dwell, bias):
        volts = np.frombuffer(base64.b64decode(bias), "<f8")

        def sweep():
            loop = self.twin.spectrum(volts, float(dwell) * 1e-6)
            both = loop.channels
            self.data = " ".join([*map(str, both.shape), base64.b64encode(both.astype("<f8").tobytes()).decode()])

        return self.start(sweep)

    def on_stat(self):
        if self.state == "failed":
            error, self.state = self.error, "idle"
            raise BackendError(error)
        if self.state == "busy":
            return f"busy {self.progress[0]} {self.progress[1]}"
        return self.state

    def on_data(self):
        return self.data

    def on_abort(self):
        self.twin.stop()
        return ""

    def on_clock(self):
        return repr(self.twin.time())

    def _advance(self, done, total):
        self.progress = done, total


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            time.sleep(LATENCY_S)
            command = line.decode("ascii").strip()
            if command == "DROP":
                return
            if command:
                self.wfile.write(self.server.instrument.answer(command).encode("ascii", "replace") + b"\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port=0, seed=3, real_time=False):
        self.instrument = Instrument(seed, real_time)
        super().__init__(("127.0.0.1", port), Connection)


if __name__ == "__main__":
    with Server(int(sys.argv[1]), real_time="--real-time" in sys.argv) as server:
        print("ready on port", server.server_address[1], flush=True)
        server.serve_forever()
