"""The protocol client: its bytes are those of the vendor's client, and no answer makes it hang or run out of memory."""

import contextlib
import io
import itertools
import socket
import struct
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from calls import CALLS, RAW, SIZES_OF_STRINGS, table
from hypothesis import given, settings
from hypothesis import strategies as st
from nanonis_spm import Nanonis

from ophyd_devices.nanonis import client, wire
from ophyd_devices.nanonis.client import Connection, ControllerError, LostError
from ophyd_devices.nanonis.commands import COMMANDS

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "nanonis.md"


class Recorder:
    """One end of a pair of sockets that keeps each request and answers it with zeros."""

    def __init__(self):
        self.here, there = socket.socketpair()
        self.requests = []
        self._thread = threading.Thread(target=self._serve, args=(there,), daemon=True)
        self._thread.start()

    def _serve(self, there):
        with there, contextlib.suppress(OSError):
            while head := there.recv(40, socket.MSG_WAITALL):
                name, length, _ = wire.header(head, wire.REQUEST_MAX)
                self.requests.append(head + (there.recv(length, socket.MSG_WAITALL) if length else b""))
                there.sendall(wire.response(name, COMMANDS[name].returns, zeros(COMMANDS[name].returns)))

    def close(self):
        self.here.close()
        self._thread.join()


def zeros(layout):
    values = {"str": "", "strs": [], "strs[r,c]": [], "f32[r,c]": np.zeros((0, 0))}
    return [values.get(kind, [] if "[" in kind else 0) for kind, _ in wire.fields(layout)]


def official(name, values):
    """The request of the vendor's client, and the values that it reads from the answer."""
    recorder = Recorder()
    try:
        nanonis = Nanonis(recorder.here)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(TypeError, struct.error):
            given = [list(value) if isinstance(value, list) else value for value in values]  # it changes lists in place
            if name in RAW:
                nanonis.quickSend(name, given, *RAW[name])
            else:
                getattr(nanonis, name.replace(".", "_"))(*given)  # the answers it cannot parse came after the request
        return recorder.requests[0]
    finally:
        recorder.close()


def ours(name, values):
    recorder = Recorder()
    try:
        connection = Connection("", 0, 5.0)
        connection._socket = recorder.here
        connection.call(name, *values)
        return recorder.requests[0]
    finally:
        recorder.close()


@pytest.mark.parametrize("name", COMMANDS)
def test_check_1_each_command_has_the_bytes_of_the_vendors_client(name):
    values = CALLS.get(name, ())
    assert len(values) == len(wire.fields(COMMANDS[name].takes))
    expected = official(name, values)
    if name in SIZES_OF_STRINGS:
        body = expected[40:]
        size = body.index(struct.pack(">ii", 8, 2))  # 4 × 2 names; the document counts the bytes that follow
        expected = expected[:40] + body[:size] + struct.pack(">i", 8 + len("Scan" + "Z-Controller")) + body[size + 4 :]
    assert ours(name, values) == expected


def test_the_page_shows_the_table_of_commands_as_it_is():
    assert table() in PAGE.read_text()


def test_the_bytes_of_the_document():
    assert wire.encode("u32 wait", [1]).hex() == "00000001"
    assert wire.encode("f64 x, f64 y, u32 wait", [10e-9, 15e-9, 1]).hex() == (
        "3e45798ee2308c3a" + "3e501b2b29a4692b" + "00000001"
    )
    body = bytes.fromhex("3E35798EE2308C3A" + "BE35798EE2308C3A" + "00" * 8)
    assert wire.decode_response("f64 x, f64 y", body) == pytest.approx([5e-9, -5e-9])


TEXT = st.text(st.characters(max_codepoint=0x2000, exclude_categories=["Cs"]), max_size=300)
KINDS = {
    "u16": st.integers(0, 2**16 - 1),
    "u32": st.integers(0, 2**32 - 1),
    "i32": st.integers(-(2**31), 2**31 - 1),
    "f32": st.floats(width=32, allow_nan=False),
    "f64": st.floats(allow_nan=False),
    "str": TEXT,
    "strs": st.lists(TEXT, max_size=5),
    "i32[]": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=9),
    "f32[]": st.lists(st.floats(width=32, allow_nan=False), max_size=9),
    "f32[r,c]": st.tuples(st.integers(1, 4), st.integers(1, 4)).map(lambda s: np.arange(s[0] * s[1]).reshape(s) / 8),
    "strs[r,c]": st.integers(1, 3).flatmap(
        lambda c: st.lists(st.lists(TEXT, min_size=c, max_size=c), min_size=1, max_size=3)
    ),
}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=5).flatmap(
    lambda kinds: st.tuples(st.just(kinds), st.tuples(*(KINDS[kind] for kind in kinds)))
))  # fmt: skip
def test_what_is_encoded_is_decoded_as_it_was(case):
    kinds, values = case
    layout = ", ".join(f"{kind} v{number}" for number, kind in enumerate(kinds))
    for read, data in (
        (wire.decode, wire.encode(layout, values)),
        (wire.decode_response, wire.response("A", layout, values)[40:]),
    ):
        for value, back in zip(values, read(layout, data), strict=True):
            np.testing.assert_array_equal(back, value)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(COMMANDS)), st.data())
def test_check_3_no_bytes_confuse_the_decoder(name, data):
    """A good answer, damaged: it is read, or refused, and never takes more memory than it has bytes."""
    layout = COMMANDS[name].returns
    body = bytearray(wire.response(name, layout, zeros(layout))[40:])
    for at in data.draw(st.lists(st.integers(0, max(len(body) - 1, 0)), max_size=4)):
        body[at : at + 1] = data.draw(st.binary(max_size=5))
    body += data.draw(st.binary(max_size=40))
    with contextlib.suppress(wire.WireError, wire.RefusedError):
        wire.decode_response(layout, bytes(body))
    with contextlib.suppress(wire.WireError):
        wire.decode(layout, bytes(body))


@pytest.mark.parametrize("layout", ["f32[] a", "strs a", "f32[r,c] a", "strs[r,c] a", "str a", "i32[] a"])
def test_an_enormous_count_allocates_nothing(layout):
    huge = struct.pack(">iii", 2**31 - 1, 2**31 - 1, 2**31 - 1) + bytes(8)
    tracemalloc.start()
    try:
        with pytest.raises(wire.WireError):
            wire.decode_response(layout, huge)
        assert tracemalloc.get_traced_memory()[1] < 1e5
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("layout", "values"),
    [("u16 a", [70_000]), ("u16 a", [-1]), ("i32[] a", [[2**31]]), ("f32 a", ["1"]), ("u16 a", []), ("f32 a", [1e99]),
     ("i32 n, f32[n] a", [2, [1.0]])],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_refused(layout, values):
    with pytest.raises(wire.WireError, match=r"expected|does not fit"):
        wire.encode(layout, values)


class Hostile:
    """A server whose answer to everything is what a test says, in pieces, with a pause before each."""

    def __init__(self, *pieces, pause=0.0, close=True):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(pieces, pause, close), daemon=True)
        self._thread.start()

    def _serve(self, pieces, pause, close):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                with peer, contextlib.suppress(OSError):
                    peer.recv(4096)
                    for piece in pieces:
                        time.sleep(pause)
                        if piece is None:  # a reset
                            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                            break
                        peer.sendall(piece)
                    if not close:
                        self._ended.wait()

    def call(self, name="Bias.Get", *values, timeout=0.4):
        connection = Connection("127.0.0.1", self.port, timeout)
        try:
            return connection.call(name, *values)
        finally:
            connection.close()

    def close(self):
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


GOOD = wire.response("Bias.Get", "f32 volt", [1.5])
HUGE = b"Bias.Get".ljust(32, b"\0") + struct.pack(">ii", 2**31 - 1, 0)
NEGATIVE = b"Bias.Get".ljust(32, b"\0") + struct.pack(">ii", -1, 0)


@pytest.mark.parametrize("cuts", [(1,), (39,), (40,), (41,), (3, 40, 45)])
def test_an_answer_in_pieces_is_read(cuts):
    edges = [0, *cuts, len(GOOD)]
    server = Hostile(*(GOOD[a:b] for a, b in itertools.pairwise(edges)), pause=0.01)
    try:
        assert server.call(timeout=5.0) == 1.5
    finally:
        server.close()


@pytest.mark.parametrize(
    ("pieces", "close", "why"),
    [
        ((GOOD[:10],), True, "it closed the connection"),
        ((GOOD[:43],), True, "it closed the connection"),
        ((None,), True, r"reset|closed"),
        ((GOOD[:10],), False, "none within 0.4 s"),
        ((GOOD[:43],), False, "none within 0.4 s"),
        ((), False, "none within 0.4 s"),
        ((HUGE,), False, "expected a body of 0 …"),
        ((NEGATIVE,), False, "expected a body of 0 …"),
        ((wire.response("Bias.Set", "", []),), False, "it answered Bias.Set"),
        ((bytes(80),), False, "expected the name of a command"),
        ((wire.response("Bias.Get", "f32 volt, f32 more", [1.0, 2.0]),), False, "expected an error block"),
    ],
)
def test_check_3_a_bad_answer_ends_in_one_clear_error(pieces, close, why):
    server, began = Hostile(*pieces, close=close), time.monotonic()
    try:
        with pytest.raises(LostError, match=rf"no answer from the Nanonis controller.*Bias.Get \(.*{why}"):
            server.call()
    finally:
        server.close()
    assert time.monotonic() - began < 5


def test_a_slow_endless_answer_ends_at_the_time_limit_and_with_the_memory_that_came():
    begun = b"Bias.Get".ljust(32, b"\0") + struct.pack(">ii", wire.RESPONSE_MAX, 0)
    server = Hostile(begun, *[b"x" * 100] * 1000, pause=0.02)
    tracemalloc.start()
    try:
        with pytest.raises(LostError, match="none within"):
            server.call()
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()
        server.close()


@pytest.mark.parametrize("fields", [True, False])
def test_an_error_block_is_told_in_the_controllers_words(fields):
    server = Hostile(wire.response("Bias.Get", "f32 volt", [0.0] if fields else [], "no such luck"))
    try:
        with pytest.raises(ControllerError, match=r"the controller refused Bias\.Get: no such luck"):
            server.call()
    finally:
        server.close()


def test_nothing_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(LostError, match=rf"no answer from the Nanonis controller at 127.0.0.1:{port}"):
        Connection("127.0.0.1", port, 0.5).call("Bias.Get")


def test_after_a_late_answer_the_next_command_gets_its_own():
    server = Hostile(GOOD, pause=0.3)
    connection = Connection("127.0.0.1", server.port, 0.1)
    try:
        with pytest.raises(LostError):
            connection.call("Bias.Get")
        assert connection.call("Bias.Get", timeout=5.0) == 1.5
    finally:
        connection.close()
        server.close()


def test_a_waiting_connection_calls_what_it_is_told_to():
    server, calls = Hostile(GOOD, pause=4 * client.POLL_S), []
    connection = Connection("127.0.0.1", server.port, 5.0, lambda: calls.append(1))
    try:
        assert connection.call("Bias.Get") == 1.5
        assert calls
    finally:
        connection.close()
        server.close()
