"""The doctor, at a healthy instrument and at sick ones."""

import dataclasses
import threading

import numpy as np
import pytest
from terminal import curio

from ophyd_devices.doctor import WITH_CONTACT, WITHOUT_CONTACT, examine
from ophyd_devices.twin import twin


class Patient:
    """A twin whose calls are noted; some of its members are sick."""

    def __init__(self, **sick):
        self._healthy, self._sick, self.called = twin(seed=3), sick, []

    def __getattr__(self, name):
        member = self._sick[name] if name in self._sick else getattr(self._healthy, name)
        if not callable(member):
            return member

        def call(*arguments):
            self.called.append(name)
            return member(*arguments)

        return call


def verdicts(findings):
    return {finding.step: finding.verdict for finding in findings}


def test_a_healthy_instrument_keeps_its_tip_off_the_surface():
    backend = Patient()
    findings = list(examine(backend))
    assert [finding.step for finding in findings] == [step.name for step in WITHOUT_CONTACT]
    assert "fails" not in verdicts(findings).values()
    assert {"move", "stop"} <= set(backend.called)
    assert "engage" not in backend.called
    assert backend.position() == (1000, 1000)


def test_with_contact_everything_is_tried_and_the_tip_is_lifted():
    backend = Patient()
    findings = list(examine(backend, contact=True))
    assert len(findings) == len(WITHOUT_CONTACT) + len(WITH_CONTACT)
    assert "fails" not in verdicts(findings).values()
    assert not backend.in_contact()


def test_a_doctor_who_is_called_away_lifts_the_tip():
    backend = Patient()
    examination = examine(backend, contact=True)
    while not backend.in_contact():
        next(examination)
    examination.close()
    assert not backend.in_contact()


INFO = twin().info
SICK = {
    "info": (dataclasses.replace(INFO, scan_range=(0, 0, 0, 1)), "expected a scan range"),
    "describe": (lambda: {"matrix": np.eye(2)}, "TypeError.*ndarray is not JSON serializable"),
    "time": (lambda: float("nan"), "expected finite times"),
    "position": (lambda: (1e9, 0), "outside the scan range"),
    "small moves": (lambda *_: None, r"expected \(.*\) nm, position\(\) says"),
    "refusals": (lambda *_: None, "expected BackendError for a spectrum with the tip withdrawn"),
    "keep_alive": (lambda seconds: 1 / 0, "ZeroDivisionError"),
    "reference": (lambda *_: None, "knows the true spectra"),
}
MEMBER = {"small moves": "move", "refusals": "spectrum"}


@pytest.mark.parametrize("step", SICK)
def test_what_is_wrong_is_found_with_an_advice(step):
    member, words = SICK[step]
    findings = list(examine(Patient(**{MEMBER.get(step, step): member})))
    (finding,) = [finding for finding in findings if finding.step == step]
    assert finding.verdict == "fails"
    assert finding.advice
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(finding.detail)


def test_nothing_goes_on_with_a_tip_that_does_not_lift():
    findings = list(examine(Patient(in_contact=lambda: True)))
    assert findings[-1].step == "withdraw"
    assert findings[-1].verdict == "fails"


def test_a_stop_that_does_nothing_is_found():
    backend = twin(seed=3, real_time=True)
    backend.stop = lambda: None
    backend.clock.sleep = lambda seconds, interrupt: threading.Event().wait(min(seconds, 0.5)) or True
    (finding,) = [finding for finding in examine(backend) if finding.step == "stop"]
    assert "did not end the move with Interrupted" in finding.detail


def test_the_command_prints_each_step():
    output = curio("doctor", "-o", "seed=4", code=0)
    assert [line.split()[0] for line in output.splitlines()].count("works") == len(WITHOUT_CONTACT) - 1


SICK_MODULE = """
import dataclasses
from ophyd_devices.twin import TwinBackend, twin

class Real(TwinBackend):
    info = dataclasses.replace(twin().info, simulated=False)

    def keep_alive(self, seconds):
        raise OSError("no such relay")

def real():
    healthy = twin()
    return Real(healthy.sample, healthy.clock)
"""


def test_the_command_fails_with_the_instrument_and_asks_before_it_touches(tmp_path, monkeypatch):
    (tmp_path / "sick_scope.py").write_text(SICK_MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    output = curio("doctor", "--backend", "sick_scope:real", code=1)
    assert "fails   keep_alive      OSError: no such relay" in output
    assert "check: keep_alive(seconds) takes a promise" in output
    assert "engage" not in output
    refused = curio("doctor", "--backend", "sick_scope:real", "--contact", code=1, answer="n\n")
    assert "touch it. Go on?" in refused
    assert "protocol" not in refused
    assert "works   engage" in curio("doctor", "--backend", "sick_scope:real", "--contact", code=1, answer="y\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--backend", "twn"], "unknown backend 'twn'; known are"),
        (["--backend", "no.such:thing"], "cannot be loaded: No module named 'no'"),
        (["--backend", "epics"], "needs the option prefix"),
        (["-o", "sed=3"], "has no option sed"),
        (["-o", "seed"], "expected --option name=value, got 'seed'"),
    ],
)
def test_a_wrong_backend_is_told_in_one_message(arguments, words):
    assert words in curio("doctor", *arguments, code=2)
