"""Whatever goes on with a run keeps the limits that it had."""

from terminal import curio

from curio_plans import History, Storage

LIMIT = 4


def test_resuming_from_the_command_line_keeps_the_limit_of_the_tip(data, tmp_path):
    settings = tmp_path / "lab.toml"
    settings.write_text(
        f"doses = '{tmp_path / 'doses'}'\n[backend]\nname = 'twin'\n[envelope]\nloops_per_tip = {LIMIT}\n"
        f"[log]\nfile = '{tmp_path / 'log.txt'}'\n"
    )
    run = ["run", "--agent", "random", "--points", 9, "--pixels", 32]
    for command in ([*run, "--settings", settings], ["resume"], ["resume", "--settings", settings]):
        (tmp_path / "log.txt").unlink(missing_ok=True)
        assert f"the limit is {LIMIT}" in curio(*command, "--no-figure", directory=data, code=1)
        assert (tmp_path / "log.txt").exists() == ("--settings" in command), "whatever measures writes the log"
    with Storage.local(data) as storage:
        runs = storage.runs()
        assert [run.exit_status for run in runs] == ["fail"] * 3
        assert len(History(storage.lineage(runs[0].uid)).observations) == LIMIT
