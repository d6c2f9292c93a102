"""The simulated controller, driven by the vendor's own client and by damaged messages."""

import contextlib
import socket
import struct
import threading
import time
import tracemalloc

import numpy as np
import pytest
from calls import CALLS, RAW, UNREADABLE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nanonis_spm import Nanonis
from support import film, until

from ophyd_devices.nanonis import wire
from ophyd_devices.nanonis.client import Connection, ControllerError
from ophyd_devices.nanonis.commands import COMMANDS
from ophyd_devices.nanonis.simulator import signals
from ophyd_devices.twin import SimulatedClock, TwinBackend


class Vendor:
    """The vendor's client on a port; a call returns its values and raises what the controller refused."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.nanonis = Nanonis(self.socket)

    def __getattr__(self, name):
        def call(*arguments):
            error, _, values = getattr(self.nanonis, name)(*arguments)
            if error:
                raise RuntimeError(error)
            return values

        return call

    def raw(self, name, arguments, takes, returns):
        error, _, values = self.nanonis.quickSend(name, arguments, takes, returns)
        assert not error
        return values


@pytest.fixture
def vendor():
    clients = []

    def connect(server, port=0):
        clients.append(Vendor(server.ports[port]))
        return clients[-1]

    yield connect
    for client in clients:
        client.socket.close()


def land(vendor):
    vendor.ZCtrl_SetpntSet(0.4)
    vendor.ZCtrl_OnOffSet(1)
    until(lambda: vendor.ZCtrl_ZPosGet()[0] == 0)


def test_check_2_the_vendors_client_measures_with_the_simulator(serve, vendor):
    server = serve(errors="fields")
    nanonis, same = vendor(server), TwinBackend(film(3), SimulatedClock(), 3)
    names = nanonis.Signals_NamesGet()[2]
    assert names == signals.NAMES
    z, lock_in = names.index("Z (m)"), names.index("LI Demod 1 X (V)")
    assert nanonis.Piezo_RangeGet() == pytest.approx([2e-6, 2e-6, 1e-6])
    assert nanonis.ZCtrl_StatusGet() == [1]
    assert nanonis.ZCtrl_ZPosGet()[0] == pytest.approx(signals.Z_LIMIT)

    nanonis.FolMe_SpeedSet(2e-6, 1)
    nanonis.FolMe_XYPosSet(1e-7, -2e-7, 1)
    assert nanonis.FolMe_XYPosGet(1) == pytest.approx([1e-7, -2e-7], abs=1e-15)
    same.move(1100.0, 800.0, 2000.0, 0.0)

    land(nanonis)
    same.engage(20.0)
    assert nanonis.ZCtrl_StatusGet() == [2]
    assert nanonis.Signals_ValGet(names.index("Deflection (V)"), 1) == pytest.approx([0.4])

    nanonis.Scan_BufferSet([z, lock_in], 50, 20)
    assert nanonis.Scan_BufferGet()[2:] == [48, 20]  # the nearest multiple of 16
    nanonis.Scan_FrameSet(0.0, 1e-7, 5e-7, 3e-7, 0.0)
    nanonis.Scan_SpeedSet(1e-6, 1e-6, 0.05, 0.05, 2, 1.0)
    nanonis.Scan_PropsSet(2, 2, 3, "series", "comment", ["Scan"], 0)
    nanonis.Scan_Action(0, 1)
    until(lambda: nanonis.Scan_StatusGet() == [0])
    frame = same.frame((750.0, 1250.0, 950.0, 1250.0), (20, 48), 10.0, lambda *_: None)
    for index, channel, scale in ((z, 0, 1e-9), (lock_in, 3, signals.V_PER_AU)):
        name, rows, columns, data, direction = nanonis.Scan_FrameDataGrab(index, 1)[1:]
        assert (name, rows, columns, direction) == (names[index], 20, 48, 1)
        np.testing.assert_allclose(np.asarray(data)[::-1], frame[channel] * scale, atol=1e-4 * scale)

    nanonis.BiasSpectr_Open()
    nanonis.BiasSpectr_ChsSet([lock_in])
    nanonis.BiasSpectr_PropsSet(2, 1, 2, 0, float("nan"), 2, 2)
    nanonis.BiasSpectr_MLSModeSet("MLS")
    half = [5e-4] * 2
    nanonis.BiasSpectr_MLSValsSet(2, [0.0, 8.0], [8.0, -8.0], [0.0, 0.0], half, half, [9, 17], [0, 0])
    assert nanonis.raw("BiasSpectr.StatusGet", [], [], ["I"]) == [0]  # the client's own method forgets the value
    _, _, columns_named, rows, columns, data, *_ = nanonis.BiasSpectr_Start(1, "")
    bias = np.concatenate([np.linspace(0, 8, 9), np.linspace(8, -8, 17)])
    assert (columns_named, rows, columns) == (["Bias calc (V)", "LI Demod 1 X (V)"], 2, 26)
    np.testing.assert_allclose(np.asarray(data)[0], bias, rtol=1e-6)
    loop = same.spectrum(bias, 1e-3)
    np.testing.assert_allclose(np.asarray(data)[1], loop.channels[1] * signals.V_PER_AU, rtol=1e-5, atol=1e-7)

    nanonis.ZCtrl_Withdraw(1, 30_000)
    assert nanonis.ZCtrl_StatusGet() == [1]
    assert nanonis.ZCtrl_ZPosGet()[0] == pytest.approx(signals.Z_LIMIT)
    assert not server.controller.twin.in_contact()


def test_check_2_the_vendors_client_reads_the_errors(serve, vendor):
    nanonis = vendor(serve())
    for call, told in (
        (lambda: nanonis.Bias_Set(99.0), "bias 99 V out of range"),
        (lambda: nanonis.FolMe_XYPosSet(1.0, 0.0, 1), "position out of the scan range"),
        (lambda: nanonis.BiasSpectr_ChsSet([200]), "signal index 200 out of range"),
    ):
        with pytest.raises(RuntimeError, match=told):
            call()
    more = 18
    nanonis.BiasSpectr_MLSValsSet(more, *[[0.0] * more] * 5, [4] * more, [0] * more)
    assert nanonis.BiasSpectr_MLSValsGet()[0] == 16  # the rest is dropped without a word


def plain(values):
    """All numbers and texts in nested lists and arrays, in order."""
    if isinstance(values, list | tuple | np.ndarray):
        return [item for value in values for item in plain(value)]
    return [] if values is None else [values if isinstance(values, str) else f"{float(values):.6g}"]


def is_within(few, many):
    """Whether `many` has the items of `few` in their order; the vendor's client also returns sizes and counts."""
    rest = iter(many)
    return all(item in rest for item in few)


def test_check_2_both_clients_leave_the_simulator_in_the_same_state_and_read_the_same(serve, vendor):
    one, other = serve(errors="fields"), serve(errors="fields")
    official, ours = vendor(one), Connection("127.0.0.1", other.ports[0], 5.0)
    for name in sorted(set(COMMANDS) - set(RAW) - {"BiasSpectr.StatusGet"}):
        values = CALLS.get(name, ())
        answers = []
        for call in (
            lambda n=name, v=values: getattr(official, n.replace(".", "_"))(
                *[list(x) if isinstance(x, list) else x for x in v]
            ),
            lambda n=name, v=values: ours.call(n, *v),
        ):
            try:
                answers.append(plain(call()))
            except (RuntimeError, ControllerError, TypeError, struct.error) as error:
                answers.append(str(error).replace(f"the controller refused {name}: ", ""))
        if name not in UNREADABLE:
            assert type(answers[0]) is type(answers[1]), (name, answers)
            assert is_within(answers[1], answers[0]), name
        assert plain(list(one.controller.settings.values())) == plain(list(other.controller.settings.values())), name
    ours.close()


def test_check_2_a_stop_on_another_port_ends_a_scan_and_a_move(serve, vendor):
    server = serve(real_time=True)
    nanonis, other = vendor(server, 0), vendor(server, 1)
    nanonis.FolMe_SpeedSet(1e-7, 1)
    threading.Timer(0.2, other.FolMe_Stop).start()
    began = time.monotonic()
    nanonis.FolMe_XYPosSet(9e-7, 0.0, 1)  # it would take 9 s
    assert time.monotonic() - began < 3
    assert 0 < nanonis.FolMe_XYPosGet(1)[0] < 8e-7
    land(nanonis)
    nanonis.Scan_BufferSet([signals.Z], 16, 100)
    nanonis.Scan_SpeedSet(1e-6, 1e-6, 0.05, 0.05, 2, 1.0)
    nanonis.Scan_Action(0, 1)
    timed_out, line, movement, _ = nanonis.raw("Scan.WaitEndOfLine", [5000], ["i"], ["I", "i", "H", "i"])
    assert (timed_out, movement) == (0, 0)
    assert 0 <= line < 50
    with pytest.raises(RuntimeError, match="busy: a scan is running"):
        nanonis.FolMe_XYPosSet(0.0, 0.0, 1)
    other.Scan_Action(1, 0)
    until(lambda: nanonis.Scan_StatusGet() == [0])
    assert np.isnan(np.asarray(nanonis.Scan_FrameDataGrab(signals.Z, 1)[4])).all()


def test_a_second_client_of_a_port_gets_no_answer_until_the_first_has_left(serve):
    server = serve()
    first, second = (Connection("127.0.0.1", server.ports[0], 0.2) for _ in range(2))
    first.call("Bias.Get")
    with pytest.raises(Exception, match="a second client gets no answer"):
        second.call("Bias.Get")
    first.close()
    until(lambda: answers(second))
    second.close()


def answers(connection):
    with contextlib.suppress(Exception):
        return connection.call("Bias.Get") is not None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_check_3_no_message_breaks_the_server(shared, data):
    """A good request, damaged: the server refuses it or closes the connection, and goes on serving."""
    server = shared
    name = data.draw(st.sampled_from(sorted(set(COMMANDS) - {"Scan.WaitEndOfLine"})))
    message = bytearray(name.encode().ljust(32, b"\0"))
    body = data.draw(st.binary(max_size=60))
    length = data.draw(st.sampled_from([len(body), 0, 3, -1, 2**31 - 1]))
    message += struct.pack(">iHH", length, 1, 0) + body
    for at in data.draw(st.lists(st.integers(0, 39), max_size=2)):
        message[at] = data.draw(st.integers(0, 255))
    peer = socket.create_connection(("127.0.0.1", server.ports[1]), 5)
    with peer, contextlib.suppress(OSError):  # it may have closed the connection already
        peer.sendall(message)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(65536):
            pass
    check = Connection("127.0.0.1", server.ports[1], 5.0)
    assert len(check.call("Signals.NamesGet")) == 128
    check.close()


@pytest.fixture
def shared(serve):
    return serve()


def test_an_announced_gigabyte_allocates_nothing(serve):
    server = serve()
    tracemalloc.start()
    try:
        with socket.create_connection(("127.0.0.1", server.ports[0]), 5) as peer:
            peer.sendall(b"Bias.Set".ljust(32, b"\0") + struct.pack(">iHH", 2**30, 1, 0))
            assert peer.recv(100) == b""
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


def test_a_request_that_stops_in_the_middle_does_not_hold_the_port(serve, monkeypatch):
    monkeypatch.setattr("ophyd_devices.nanonis.simulator.server.MESSAGE_S", 0.2)
    server = serve()
    with socket.create_connection(("127.0.0.1", server.ports[0]), 5) as peer:
        peer.sendall(b"Bias.Get")
        assert peer.recv(100) == b""


def test_no_response_is_sent_where_none_is_wanted(serve):
    server = serve()
    with socket.create_connection(("127.0.0.1", server.ports[0]), 5) as peer:
        peer.sendall(b"Bias.Set".ljust(32, b"\0") + struct.pack(">iHHf", 4, 0, 0, 1.5))
        peer.sendall(wire.request("Bias.Get", "", ()))
        assert peer.recv(32, socket.MSG_WAITALL).rstrip(b"\0") == b"Bias.Get"
