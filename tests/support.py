"""What tests of several rooms do: make a small microscope, run a plan, pick documents, wait, start Python."""

import copy
import re
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, nullcontext
from functools import lru_cache

import numpy as np
import pytest
from bluesky import RunEngine
from processes import PYTHON

from curio_plans.store.lines import sealed_line
from ophyd_devices import AFM
from ophyd_devices.twin import Effects, Ferroelectric, SimulatedClock, TwinBackend

LINES = "documents.jsonl"
"""The file of the documents in the folder of a run."""

film = lru_cache(Ferroelectric)
"""The sample of a seed. It takes 60 ms to grow and does not change: what is done to it is a state of the backend."""


def microscope(backend=None, seed=3, effects="calm"):
    """A microscope of quick actions: images of 32 × 32 px, spectra of 32 steps; by default a twin."""
    if backend is None:
        backend = TwinBackend(film(seed), SimulatedClock(), seed, Effects.of(effects))
    afm = AFM(backend, name="afm")
    if not afm.backend.info.fixed_frame:
        afm.imager.pixels.put((32, 32))
        afm.spectrometer.steps_per_cycle.put(16)
        afm.spectrometer.cycles.put(2)
    return afm


def write_sample(path, shape=(20, 24), steps=12, noise=0.0, **more):
    """Write a recorded sample, whose spectra are its image times a line, and noise; return its path."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=shape).cumsum(axis=1)
    spectra = image[..., None] * np.linspace(-1, 1, steps) + noise * rng.normal(size=(*shape, steps))
    np.savez(path, image=image, spectra=spectra, **more)
    return path


def emitted(plan, engine=None, fails=None):
    """Run a plan; return a copy of each document that it emits. With `fails` it must end with that error."""
    documents = []
    engine = RunEngine({}) if engine is None else engine
    with nullcontext() if fails is None else pytest.raises(fails):
        engine(plan, lambda name, doc: documents.append((name, copy.deepcopy(dict(doc)))))
    return documents


def measure(plan, *arguments, afm=None, world=None, fails=None, **options):
    """Run ``plan(afm, *arguments, **options)``, see that the tip is withdrawn, and return the documents.

    Without an `afm` it runs on a new one, a twin with `world`, its seed and effects.
    """
    used = microscope(**world or {}) if afm is None else afm
    try:
        documents = emitted(plan(used, *arguments, **options), fails=fails)
        assert used.tip.position == "withdrawn"
        return documents
    finally:
        if afm is None:
            used.close()


def events(documents, stream=None):
    """The events of a stream, or all."""
    names = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}
    return [doc for name, doc in documents if name == "event" and stream in (None, names[doc["descriptor"]])]


def streams(documents):
    """The name of the stream of each event, in the order of the events."""
    names = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}
    return [names[doc["descriptor"]] for doc in events(documents)]


def until(condition, seconds=60):
    """Wait until a condition is true; fail if it does not become true.

    The time only keeps a broken test from hanging.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


def command(*arguments, code=0, **options):
    """Run a command in a process of its own; check its exit code and return what it prints."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 300, **options}
    done = subprocess.run([str(argument) for argument in arguments], text=True, check=False, **options)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def python(*arguments, **options):
    """Run Python in a process of tests/warm.py, as :func:`command` does."""
    return command(*PYTHON, *arguments, **options)


def free_port(kind=socket.SOCK_STREAM):
    """A port of this computer that nothing listens to."""
    with socket.socket(type=kind) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def change_lines(folder, change):
    """Change the list of the lines in the folder of a run, checksums left as they are."""
    lines = (folder / LINES).read_bytes().splitlines()
    change(lines)
    (folder / LINES).write_bytes(b"".join(line + b"\n" for line in lines))


def unsealed(folder):
    """Make a run one of version 0.1, without checksums."""
    lines = re.sub(rb', "__check__": \[\d+, "\w{16}"\]\}\]\n', b"}]\n", (folder / LINES).read_bytes())
    (folder / LINES).write_bytes(re.sub(rb', "xxh3": "\w{16}"', b"", lines))


def resealed(folder):
    """Give the lines of a run without checksums the right ones."""
    lines = (folder / LINES).read_bytes().splitlines()
    (folder / LINES).write_bytes(b"".join(sealed_line(folder.name, n, line) for n, line in enumerate(lines, start=1)))


def rewritten(folder, change):
    """Change the list of the lines in the folder of a run, as if they had been written that way."""
    unsealed(folder)
    change_lines(folder, change)
    resealed(folder)


@contextmanager
def thinking(build, key=None, port=0, **options):
    """A place where agents think, in a thread; yields its address."""
    import uvicorn

    from curio_plans.elsewhere import Folds, make_app

    folds = Folds(build)
    app = make_app(folds, key, **options)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
        folds.close()
