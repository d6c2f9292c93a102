"""Whatever goes on with a run keeps the limits that it had."""

from typer.testing import CliRunner

from curio_plans import History, Storage
from curio_plans.cli import app

LIMIT = 4


def curio(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_resuming_from_the_command_line_keeps_the_limit_of_the_tip(data, tmp_path):
    settings = tmp_path / "lab.toml"
    settings.write_text(
        f"doses = '{tmp_path / 'doses'}'\n[backend]\nname = 'twin'\n[envelope]\nloops_per_tip = {LIMIT}\n"
    )
    common = ("--no-figure", "--data", data)
    begun = curio("run", "--settings", settings, "--agent", "random", "--points", 9, "--pixels", 32, *common)
    assert begun.exit_code == 1, begun.output
    for how in ((), ("--settings", settings)):
        again = curio("resume", "latest", *how, *common)
        assert again.exit_code == 1
        assert f"the limit is {LIMIT}" in begun.stderr + again.stderr
    with Storage.local(data) as storage:
        runs = storage.runs()
        assert [run.exit_status for run in runs] == ["fail"] * 3
        assert len(History(storage.lineage(runs[0].uid)).observations) == LIMIT
