"""Random damage to stored runs: no traceback, no other run affected, and none that checksums do not notice.

Eight cases of each kind are tried; ``CURIO_FUZZ=10000`` tries so many, ``CURIO_FUZZ=10000:5000`` begins with seed
5000, and ``CURIO_FUZZ=10000:0:1`` tries every command in every case.
"""

import contextlib
import os
import shutil
import sys
import traceback
from collections import Counter
from itertools import zip_longest

import corruption
import numpy as np
import pytest
from bluesky import RunEngine
from documents import same
from support import microscope, unsealed
from typer.testing import CliRunner

from agents.registry import build, configure
from curio_plans.cli import app
from curio_plans.plans import curiosity, resume
from curio_plans.store.errors import JournalError, StorageError
from curio_plans.store.reader import read_journal
from curio_plans.store.rescue import rescue
from curio_plans.store.storage import Storage

TRIES, FIRST, EVERYTHING = (
    int(given or usual)
    for given, usual in zip_longest(os.environ.get("CURIO_FUZZ", "").split(":"), ("8", "0", "50"), fillvalue="")
)
"""How many cases, the first seed, and of how many cases one sees every command."""
TILED = 50
"""Of so many cases, one is mended in Tiled too."""
TELL = 500
"""After so many cases the figures so far are printed."""
KINDS = SEALED, OLD, FORGED = "with checksums", "of version 0.1", "with forged checksums"
COMMANDS = {
    "runs": ["runs"],
    "show": ["show", "UID", "--no-figure"],
    "replay": ["replay", "UID"],
    "replay --agent": ["replay", "UID", "--agent", "grid"],
    "replay --table": ["replay", "UID", "--table"],
    "explain": ["explain", "UID", "1", "--output", "FILE.png"],
    "report": ["report", "UID", "--only", "acquisitions", "--output", "FILES"],
    "export": ["export", "UID", "--to", "FILE.nxs", "--force"],
    "verify": ["verify", "--all"],
    "recover": ["recover"],
}


class Stored:
    """A data directory with two runs and one that resumes the first; and how they are when nothing is damaged."""

    def __init__(self, directory, pristine):
        self.directory, self.pristine = directory, pristine
        with Storage.local(directory) as storage:
            self.uids = [run.uid for run in sorted(storage.runs(), key=lambda run: run.time)]
            self.documents = {uid: storage.documents(uid) for uid in self.uids}
        shutil.copytree(directory / "journal", pristine)

    def folder(self, uid):
        return self.directory / "journal" / uid

    def restore(self):
        for uid in self.uids:
            if self.differs(uid):
                corruption.restore(self.folder(uid), self.pristine / uid)
        shutil.rmtree(self.directory / "damaged", ignore_errors=True)
        (self.directory / "verified.json").unlink(missing_ok=True)

    def differs(self, uid):
        """Whether the files of a run are not what they were."""
        here, there = self.folder(uid), self.pristine / uid
        if here.is_symlink() or not here.is_dir():
            return True
        names = {path.name for path in (*here.iterdir(), *there.iterdir())}
        return any(content(here / name) != content(there / name) for name in names)


def content(path):
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None


@pytest.fixture(scope="module")
def measured(empty, tmp_path_factory):
    """Two runs, and one that resumes the first; in the journal and in Tiled."""
    directory = shutil.copytree(empty, tmp_path_factory.mktemp("fuzz") / "data")
    engine, afm = RunEngine({}), microscope()
    with Storage.local(directory) as storage:
        storage.attach(engine)
        seen = []
        token = engine.subscribe(lambda _, doc: seen.append(doc))
        plan = curiosity(afm, configure("random"), points=4, build=build, stride=8, map_every=2)
        with contextlib.suppress(Enough):
            engine(until(plan, lambda: sum("agent_candidate" in doc["data"] for doc in seen if "data" in doc) == 3))
        engine.unsubscribe(token)
        (first,) = storage.runs()
        engine(resume(afm, first.uid, build=build, stored=storage.resumable, rebuild=False))
        engine(curiosity(afm, configure("random"), points=3, build=build, stride=8))
        assert storage.failures == {}
    afm.close()
    return directory


class Enough(RuntimeError):
    """The run ends early."""


def until(plan, condition):
    for message in plan:
        if message.command == "create" and condition():
            raise Enough
        yield message


@pytest.fixture(scope="module", params=KINDS)
def stored(request, measured, tmp_path_factory):
    place = tmp_path_factory.mktemp("stored")
    directory = shutil.copytree(measured, place / "data")
    if request.param == OLD:
        for folder in (directory / "journal").iterdir():
            unsealed(folder)
    found = Stored(directory, place / "pristine")
    found.kind = request.param
    return found


def test_random_damage(stored, tmp_path, capsys, spare):
    seen = Counter()
    with Storage.local(stored.directory) as storage:
        _ = storage.catalog
        for seed in range(FIRST, FIRST + TRIES):
            try_one(stored, storage, seed, tmp_path, seen)
            if (tried := seed - FIRST + 1) % TELL == 0 or tried == TRIES:
                with capsys.disabled():
                    print(f"\n{tried} kinds of damage to runs {stored.kind}: {dict(seen)}", flush=True)
    assert seen["tracebacks"] == seen["other runs affected"] == seen["silently accepted"] == 0
    assert seen["damaged"] > TRIES / 2


def try_one(stored, storage, seed, tmp_path, seen):
    rng = np.random.default_rng(seed)
    stored.restore()
    victim = corruption.some(rng, stored.uids)
    others = [uid for uid in stored.uids if uid != victim]
    damage = corruption.some(rng, corruption.WAYS if stored.kind != FORGED else corruption.FORGERIES)
    damage(stored.folder(victim), rng)
    if stored.kind == FORGED:
        corruption.reseal(stored.folder(victim))
    note = f"seed {seed}, {stored.kind}, {damage.__name__}"
    if not stored.differs(victim):
        return
    seen["damaged"] += 1
    with told(note, seen):
        look(stored, storage, victim, others, note, seen)
    for name in choose(rng, seed):
        arguments = [
            victim if word == "UID" else word.replace("FILE", str(tmp_path / "file")) for word in COMMANDS[name]
        ]
        done = CliRunner().invoke(app, [*arguments, "--data", str(stored.directory)])
        seen["commands"] += 1
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            seen["tracebacks"] += 1
            say(note, name)
            traceback.print_exception(done.exception, file=sys.__stderr__)
    with told(note, seen):
        if os.path.lexists(stored.folder(victim)):  # else recover has put aside what had nothing whole
            storage.verify(victim)
            storage.recover(victim) if seed % TILED == 0 else rescue_alone(stored, victim)
        for uid in others:
            if not same(storage.documents(uid), stored.documents[uid]):
                affected(note, seen)


def rescue_alone(stored, uid):
    """Rescue what is whole of a run, and see that it is; without Tiled, which takes seconds."""
    try:
        read_journal(stored.directory, uid)
    except JournalError:
        with contextlib.suppress(JournalError):  # nothing can be rescued
            if rescue(stored.directory, uid, {}).kept:
                assert read_journal(stored.directory, uid)[-1][0] == "stop"


def look(stored, storage, victim, others, note, seen):
    """Read all runs in each way."""
    runs = {run.uid: run for run in storage.runs()}
    for uid in others:
        if not same(storage.documents(uid), stored.documents[uid]) or not (
            runs[uid].exit_status and not runs[uid].damaged
        ):
            affected(note, seen)
    latest = storage.resolve("latest")
    assert latest in stored.uids
    whole = stored.documents[victim]
    try:
        storage.lineage(victim)
        found = storage.documents(victim)
    except (JournalError, StorageError):
        seen["refused"] += 1
        return
    if same(found, whole):
        seen["harmless"] += 1
    elif same(found, whole[: len(found)]) and runs[victim].exit_status is None:
        seen["cut off, and shown as without an end"] += 1
    elif stored.kind == SEALED:
        seen["silently accepted"] += 1
        say(note, "is accepted")
    else:
        seen["unnoticed, as no checksum tells"] += 1


@contextlib.contextmanager
def told(note, seen):
    try:
        yield
    except Exception:  # noqa: BLE001 - any is one too many
        seen["tracebacks"] += 1
        say(note)
        traceback.print_exc(file=sys.__stderr__)


def say(*words):
    """Print at once, past what pytest captures of a test that takes hours."""
    print(*words, file=sys.__stderr__, flush=True)


def affected(note, seen):
    seen["other runs affected"] += 1
    say(note, "affects other runs")


def choose(rng, seed):
    """All commands now and then, else one of them: most damage ends them in the same place."""
    if seed % EVERYTHING == 0:
        return list(COMMANDS)
    return [corruption.some(rng, [name for name in COMMANDS if name not in ("recover", "verify")])]
