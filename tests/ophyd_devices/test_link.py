"""The watchdog's side of the instrument: while the tip is engaged the controller is told that we live."""

import threading
import time

import pytest
from safety import Recorder
from support import until

from ophyd_devices import AFM, link
from ophyd_devices.backend import BackendError, Interrupted


@pytest.fixture
def backend():
    return Recorder()


@pytest.fixture
def afm(backend, monkeypatch):
    monkeypatch.setattr(link, "PROMISE_S", 0.04)
    microscope = AFM(backend, name="afm")
    yield microscope
    microscope.close()


def test_the_promise_is_kept_while_nothing_happens_and_taken_back_with_the_tip(afm, backend):
    afm.scanner.set((10, 10)).wait(5)
    assert backend.promises == []
    afm.tip.set("engaged").wait(5)
    until(lambda: len(backend.promises) > 5)
    assert set(backend.promises) == {0.04}
    afm.tip.set("withdrawn").wait(5)
    assert backend.promises[-1] == 0
    kept = len(backend.promises)
    afm.scanner.set((20, 20)).wait(5)
    assert len(backend.promises) == kept


def test_the_promise_is_given_before_the_tip_engages(afm, backend, monkeypatch):
    promised = []
    monkeypatch.setattr(backend, "engage", lambda setpoint: promised.append(list(backend.promises)))
    afm.tip.set("engaged").wait(5)
    assert promised == [[0.04]]


def test_a_tip_that_was_left_engaged_is_watched_from_the_start(backend, monkeypatch):
    monkeypatch.setattr(link, "PROMISE_S", 0.04)
    backend.engaged = True
    afm = AFM(backend, name="afm")
    assert afm.tip.position == "engaged"
    until(lambda: len(backend.promises) > 3)
    afm.close()
    assert backend.promises[-1] == 0


def test_a_tip_that_left_the_surface_by_itself_is_noticed(afm, backend):
    afm.tip.set("engaged").wait(5)
    backend.engaged = False
    until(lambda: not afm.tip.contact.get())
    until(lambda: backend.promises[-1] == 0)
    assert afm.tip.force.get() == 0


def test_closing_takes_the_promise_back(afm, backend):
    afm.tip.set("engaged").wait(5)
    afm.close()
    assert backend.promises[-1] == 0
    assert not backend.engaged
    afm.close()
    with pytest.raises(BackendError, match="make a new AFM"):
        afm.scanner.set((10, 10))


def test_a_controller_that_does_not_answer_is_asked_again(afm, backend, monkeypatch, caplog):
    afm.tip.set("engaged").wait(5)
    asked = []

    def gone(seconds):
        asked.append(seconds)
        raise BackendError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(backend, "keep_alive", gone)
        until(lambda: len(asked) > 2)
    until(lambda: "did not answer" in caplog.text)
    afm.tip.set("withdrawn").wait(5)


def test_force_and_its_error_are_measured_after_each_command(afm, backend, monkeypatch):
    assert (afm.tip.force.get(), afm.tip.force_error.get()) == (0, 0)
    afm.tip.setpoint.put(15)
    afm.tip.set("engaged").wait(5)
    assert afm.tip.force.get() == 15
    assert afm.tip.force_error.get() == 0
    monkeypatch.setattr(backend, "force", lambda: 12.0)
    afm.spectrometer.trigger().wait(5)
    assert afm.tip.force_error.get() == -3
    assert afm.tip.loops.get() == 1


def test_what_was_stopped_fails_even_if_it_takes_its_time_and_the_tip_is_withdrawn_after_it(afm, backend, monkeypatch):
    began, stopped, withdrawing = (threading.Event() for _ in range(3))

    def frame(*_):
        began.set()
        assert stopped.wait(5)
        assert withdrawing.wait(5)
        raise Interrupted("the frame was stopped")

    monkeypatch.setattr(backend, "frame", frame)
    monkeypatch.setattr(backend, "stop", stopped.set)
    afm.tip.set("engaged").wait(5)
    status = afm.imager.trigger()
    assert began.wait(5)
    withdrawn = afm.tip.stop()
    withdrawing.set()
    with pytest.raises(Interrupted, match="the frame was stopped"):
        status.wait(5)
    withdrawn.wait(5)
    assert not backend.engaged


class Stubborn(Recorder):
    """A frame lasts until it is stopped; stops are noted with what they hit."""

    ignores = 0
    """How many stops have no effect."""

    def __init__(self):
        super().__init__()
        self.began, self.stopped, self.current, self.hits = threading.Event(), threading.Event(), None, []

    def frame(self, *_):
        self.current = "frame"
        self.began.set()
        try:
            assert self.stopped.wait(10)
            raise Interrupted("the frame was stopped")
        finally:
            self.current = None
            self.stopped.clear()

    def withdraw(self):
        self.current = "withdraw"
        super().withdraw()
        time.sleep(0.001)
        self.current = None

    def stop(self):
        self.hits.append(self.current)
        if len(self.hits) > self.ignores:
            self.stopped.set()


@pytest.fixture
def stubborn():
    return Stubborn()


@pytest.fixture
def imaging(stubborn):
    """A microscope in the middle of a frame that does not end by itself, and the status of that frame."""
    microscope = AFM(stubborn, name="afm")
    microscope.imager.timeout.put(0.1)
    microscope.imager.line_rate.put(100.0)
    microscope.tip.set("engaged").wait(5)
    yield microscope, microscope.imager.trigger
    stubborn.ignores = 0
    stubborn.stopped.set()
    microscope.close()


def test_what_takes_too_long_is_stopped_and_fails(imaging, stubborn):
    afm, trigger = imaging
    with pytest.raises(
        BackendError, match=r"afm_imager did not finish within 0.14 s and was given up .*raise its timeout"
    ):
        trigger().wait(5)
    afm.scanner.set((10, 10)).wait(5)
    assert afm.scanner.position == (10, 10)


def test_a_controller_that_does_not_stop_is_given_up_and_stopped_until_it_does(imaging, stubborn, monkeypatch):
    monkeypatch.setattr(link, "GRACE_S", 0.1)
    afm, trigger = imaging
    stubborn.ignores = 10**9
    with pytest.raises(BackendError, match=r"was given up \(the controller does not stop\)"):
        trigger().wait(5)
    withdrawn = afm.tip.set("withdrawn")
    assert not withdrawn.done
    stubborn.ignores = 0
    withdrawn.wait(5)
    assert not stubborn.engaged


def test_a_stop_that_is_lost_is_repeated(imaging, stubborn):
    afm, trigger = imaging
    afm.imager.timeout.put(1e6)
    stubborn.ignores = 3
    status = trigger()
    assert stubborn.began.wait(5)
    afm.scanner.stop()
    with pytest.raises(Interrupted, match="the frame was stopped"):
        status.wait(5)
    assert len(stubborn.hits) == 4


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_what_was_stopped_for_a_pause_and_for_good_fails(imaging, stubborn, order):
    afm, trigger = imaging
    afm.imager.timeout.put(1e6)
    stubborn.ignores = 2
    status = trigger()
    assert stubborn.began.wait(5)
    for success in order:
        afm.scanner.stop(success=success)
    with pytest.raises(Interrupted):
        status.wait(5)


def test_a_stop_that_fails_does_not_keep_the_tip_on_the_surface(imaging, stubborn, monkeypatch, caplog):
    afm, trigger = imaging
    afm.imager.timeout.put(1e6)
    stops = []

    def stop():
        stops.append(None)
        if len(stops) < 4:
            raise BackendError("the line is noisy")
        stubborn.stopped.set()

    monkeypatch.setattr(stubborn, "stop", stop)
    status = trigger()
    assert stubborn.began.wait(5)
    afm.tip.stop().wait(5)
    assert not stubborn.engaged
    with pytest.raises(Interrupted):
        status.wait(5)
    assert [record.message for record in caplog.records if "cannot be stopped" in record.message] == [
        "the controller cannot be stopped, trying again: the line is noisy"
    ]


def test_a_stop_never_hits_a_withdrawal(imaging, stubborn):
    afm, trigger = imaging
    afm.imager.timeout.put(1e6)
    for _ in range(50):
        afm.tip.set("engaged").wait(5)
        stubborn.began.clear()
        status = trigger()
        assert stubborn.began.wait(5)
        stops = [threading.Thread(target=stop) for stop in (afm.scanner.stop, afm.tip.stop, afm.scanner.stop)]
        for thread in stops:
            thread.start()
        with pytest.raises(Interrupted):
            status.wait(5)
        for thread in stops:
            thread.join()
        afm.tip.set("withdrawn").wait(5)
    assert stubborn.hits
    assert "withdraw" not in stubborn.hits
    assert not stubborn.engaged


def test_closing_twice_is_harmless(afm, backend):
    afm.link.close()
    afm.link.close()
    assert not backend.engaged
