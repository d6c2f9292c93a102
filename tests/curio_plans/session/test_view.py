"""A session shows its runs as curio run does, and other plans as Bluesky does."""

import io

from bluesky import RunEngine
from bluesky.callbacks.best_effort import BestEffortCallback
from rich.console import Console
from support import measure

from curio_plans.plans import curiosity, resume, spectra_at
from curio_plans.session import SessionView


def shown(afm, capsys, *plans, stored=None):
    """Execute plans; return what our view prints and what Bluesky prints."""
    output = io.StringIO()
    engine, bec = RunEngine({}), BestEffortCallback()
    bec.disable_plots()
    view = SessionView(bec, stored, Console(file=output, width=100))
    engine.subscribe(view)
    engine.subscribe(bec)
    engine.msg_hook, engine.waiting_hook, engine.state_hook = view.message, view.waiting, view.state
    for plan in plans:
        engine(plan)
    return output.getvalue(), capsys.readouterr().out


def test_our_plan_has_our_lines_and_others_have_their_table(afm, wanderer, capsys):
    ours, bluesky = shown(
        afm, capsys,
        curiosity(afm, {"seed": 1, "initial": 2}, 4, build=wanderer, window=5),
        spectra_at(afm, [(300.0, 300.0), (400.0, 300.0)]),
    )  # fmt: skip
    header, *lines = ours.splitlines()
    assert header.split()[:3] == ["point", "phase", "x"]
    assert [line.split()[0] for line in lines if line.split()[0].isdigit()] == ["1", "2", "3", "4"]
    of_curiosity, of_others = bluesky.split("Transient Scan ID")[1:]
    assert "seq_num" not in of_curiosity
    assert "seq_num" in of_others


def test_a_resumed_run_counts_on(afm, wanderer, capsys):
    stopped = measure(curiosity, {"seed": 4, "initial": 2}, 5, build=wanderer)[:-6]
    plan = resume(afm, "the run", build=wanderer, stored=lambda _: stopped)
    ours, _ = shown(afm, capsys, plan, stored=lambda _: stopped)
    numbers = [int(line.split()[0]) for line in ours.splitlines()[1:] if line.split()[0].isdigit()]
    assert numbers == list(range(numbers[0], 6))
    assert numbers[0] > 1
