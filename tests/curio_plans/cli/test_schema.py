"""The JSON schemas that the command prints are those of the values."""

import json

import jsonschema
import pytest
from typer.testing import CliRunner

from curio_plans.cli import app
from curio_plans.cli.schema import SCHEMAS
from curio_plans.rules.request import RunRequest


def printed(*arguments):
    return CliRunner().invoke(app, ["schema", *arguments])


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_valid_json_schema(name):
    jsonschema.Draft202012Validator.check_schema(json.loads(printed(name).stdout))


def test_the_schema_of_a_run_accepts_what_a_start_document_keeps_and_nothing_else():
    schema = json.loads(printed("run").stdout)
    request = RunRequest(agent={"agent": "random", "seed": 3}, until={"minutes": 5}, drift={"every_points": 4})
    jsonschema.validate(request.plan_args(), schema)
    for wrong in ({"points": 0}, {"lookahead": 2}, {"colour": "red"}, {"until": {"error": -1}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(request.plan_args() | wrong, schema)


def test_an_unknown_name_is_refused():
    done = printed("nothing")
    assert done.exit_code == 2
    assert "expected one of run, quality" in done.stderr
