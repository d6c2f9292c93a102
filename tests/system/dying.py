"""A session in a process of its own, as in the profile, in which something raises; for the tests of how runs end.

python dying.py DIRECTORY PREFIX CAUSE: on the instrument that an IOC serves with PREFIX, or without one on a twin.
"""

import contextlib
import resource
import sys
from pathlib import Path

from agents.registry import build, configure
from curio_plans import Storage
from curio_plans.plans import curiosity
from curio_plans.session import OrderlyEngine, leave_in_order
from ophyd_devices import AFM
from ophyd_devices.epics import EpicsBackend
from ophyd_devices.twin import twin

POINTS = 60


class Broken:
    """A driver with a defect: its fourth spectrum raises what no driver should."""

    def __init__(self, backend):
        self._backend, self._spectra = backend, 0

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def spectrum(self, *arguments):
        self._spectra += 1
        if self._spectra == 4:
            raise ZeroDivisionError("the driver has a defect")
        return self._backend.spectrum(*arguments)


def broken_agent(config):
    """An agent with a defect: its fourth decision raises."""
    agent = build(config)
    suggest = agent.suggest

    def raising(n=1, context=None):
        if len(agent.measured) == 3:
            raise ZeroDivisionError("the agent has a defect")
        return suggest(n, context)

    agent.suggest = raising
    return agent


def exhaust(kept):
    """Take all memory that this process may have, and keep it."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**26,) * 2)
    for size in (2**20, 2**12, 2**6):
        with contextlib.suppress(MemoryError):
            while True:
                kept.append(bytearray(size))
    kept.append(bytearray(2**20))  # raises


def main(directory, prefix, cause):
    from bluesky.preprocessors import SupplementalData

    backend = EpicsBackend(prefix) if prefix else twin(seed=1, real_time=True)
    afm = AFM(Broken(backend) if cause == "driver" else backend, name="afm")
    afm.imager.pixels.put((16, 16))
    engine, seen, kept = OrderlyEngine({}), [], []
    engine.preprocessors.append(SupplementalData(baseline=afm.baseline))
    leave_in_order(engine)

    def callback(name, doc):
        if name == "event" and "candidate" in doc["data"]:
            seen.append(doc)
            if len(seen) == 3:
                print("now", flush=True)
                if cause == "callback":
                    raise ZeroDivisionError("the callback has a defect")
                if cause == "memory":
                    exhaust(kept)

    with Storage.local(directory) as storage:
        storage.attach(engine)
        engine.subscribe(callback)
        made = broken_agent if cause == "agent" else build
        engine(curiosity(afm, configure("random"), POINTS, build=made, window=5))


main(*sys.argv[1:])
