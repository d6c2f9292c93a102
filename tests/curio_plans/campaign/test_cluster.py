"""A real cluster of processes: a dead worker and a failing job are told and tried again; the numbers stay the same."""

import os
import signal
import threading
from pathlib import Path

import psutil
import pytest
import typer
from support import until

from curio_plans.campaign import Campaign, finished
from curio_plans.cli.campaign import campaign, do
from curio_plans.store.storage import Storage

CAMPAIGN = """
agents = ["random", "halton"]
samples = [{ twin = {}, pixels = 24 }]
seeds = 2
run = { window = 5 }
settings = [{ points = 5 }]
"""


def square(job):
    """Work that dies or fails for some jobs, at the first attempt or at each."""
    number, folder = job
    first = Path(folder) / str(number)
    if number == 3 and not first.exists():
        first.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 5 and not first.exists():
        first.touch()
        raise RuntimeError("only once")
    if number == 7:
        raise ValueError("each time")
    return number**2


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([0, 3, 4], {(3, "the process that did it has died", True)}),
        (
            [5, 6, 7],
            {
                (5, "RuntimeError: only once", True),
                (7, "ValueError: each time", True),
                (7, "ValueError: each time", False),
            },
        ),
    ],
    ids=["dies", "fails"],
)
def test_what_dies_or_fails_is_told_and_tried_once_more(numbers, expected, tmp_path):
    ends = list(finished(square, ((number, str(tmp_path)) for number in numbers), workers=2))
    assert {end.job[0]: end.result for end in ends if not end.error} == {n: n**2 for n in numbers if n != 7}
    told = {(end.job[0], end.error, end.again) for end in ends if end.error}
    waited = told - expected  # the other jobs of a process that dies are told so, too
    assert expected <= told
    assert all((error, again) == ("the process that did it has died", True) for _, error, again in waited)


def test_a_scheduler_that_does_not_answer_is_named():
    with pytest.raises(ValueError, match=r"the Dask scheduler at tcp://127.0.0.1:1 does not answer"):
        list(finished(square, [], scheduler="tcp://127.0.0.1:1", patience=0.5))


def numbers(rows):
    """What may not depend on workers and their order."""
    return [{key: repr(value) for key, value in row.items() if key not in ("uid", "seconds")} for row in rows]


def test_a_campaign_with_a_killed_worker_has_the_numbers_of_one_process_and_goes_on(data, tmp_path, capsys):
    from pyarrow import parquet

    from agents.registry import build
    from ophyd_devices.registry import check_backend

    file, parts = tmp_path / "compare.toml", data / "campaigns" / "compare"
    file.write_text(CAMPAIGN.replace("[{ points = 5 }]", "[{ points = 5 }, { points = 5000 }]"))
    killed = []

    def kill():
        until(lambda: any(parts.glob("*.parquet")), seconds=300)
        workers = [p for p in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(p.cmdline())]
        killed.append(workers[-1])
        workers[-1].kill()

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(typer.Exit) as end:  # with more points than candidates a run fails
        campaign(file, workers=2, data=data, catalog=False)
    thread.join()
    assert killed
    assert end.value.exit_code == 1
    assert capsys.readouterr().err.count("failed twice: ValueError: 5000 points were asked for") == 4
    file.write_text(CAMPAIGN)
    found = parquet.read_table(data / "campaigns" / "compare.parquet").to_pylist()
    jobs = Campaign.read(file).jobs(lambda config: dict(build(config).config), check_backend)
    alone = [row for job in jobs for row in do(job, "compare").rows]
    assert numbers(found) == numbers(alone)

    next(parts.glob("*.parquet")).unlink()  # killed before it was kept: the stored run has it
    campaign(file, data=data)
    assert "4 of 4 runs are done already" in capsys.readouterr().out
    assert repr(parquet.read_table(data / "campaigns" / "compare.parquet").to_pylist()) == repr(found)
    uids = {row["uid"] for row in found}
    with Storage.local(data) as storage:
        assert set(storage.catalog) == uids
        assert len(uids) == len(jobs)
