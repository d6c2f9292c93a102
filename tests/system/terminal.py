"""The command curio as a user types it."""

from typer.testing import CliRunner

from curio_plans.cli import app


def curio(*arguments, directory, code=0):
    """Run the command in this process, in a terminal 200 columns wide."""
    result = CliRunner().invoke(
        app, [str(argument) for argument in arguments], env={"COLUMNS": "200", "CURIO_DATA": str(directory)}
    )
    assert result.exit_code == code, (result.output, result.exception)
    return result.output
