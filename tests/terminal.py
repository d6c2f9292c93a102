"""The command curio as a user types it, in this process."""

from typer.testing import CliRunner

from curio_plans.cli import app


def curio(*arguments, directory=None, code=0, answer=None):
    """Run the command in a terminal 200 columns wide; check its exit code and return what it prints."""
    environment = {"COLUMNS": "200", "CURIO_DATA": None if directory is None else str(directory)}
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment, input=answer)
    assert result.exit_code == code, (result.output, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output
