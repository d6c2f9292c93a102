import json

import pytest

from curio_plans.cli.metadata import read_metadata

EXPERIMENT = {"sample": {"name": "PTO-7", "formula": "PbTiO3"}, "operator": "Ada", "more": {"remarks": ["dry", None]}}


def test_options_give_metadata(tmp_path):
    (tmp_path / "experiment.yml").write_text("sample: {name: PTO-7, thickness: 200}\noperator: Ada\n")
    pairs = ["experiment.operator=Grace", "experiment.more.humidity=0.3", "batch=[1, 2]", "note=a=b"]
    assert read_metadata(tmp_path / "experiment.yml", pairs) == {
        "experiment": {
            "sample": {"name": "PTO-7", "thickness": 200.0},
            "operator": "Grace",
            "more": {"humidity": 0.3},
        },
        "batch": [1, 2],
        "note": "a=b",
    }
    (tmp_path / "experiment.json").write_text(json.dumps(EXPERIMENT))
    assert read_metadata(tmp_path / "experiment.json", []) == {"experiment": EXPERIMENT}
    assert read_metadata(None, []) == {}


@pytest.mark.parametrize(
    ("text", "pairs", "words"),
    [
        ("a: b: c", [], "expected YAML or JSON"),
        ("- 1", [], r"got \[1\]"),
        ("sampel: a", [], "experiment: sampel"),
        ("operator: Ada", ["operator"], "expected --md name=value"),
        ("operator: Ada", ["experiment..x=1"], "expected --md name=value"),
        ("operator: Ada", ["experiment.operator.name=1"], "'operator' is 'Ada' already"),
    ],
)
def test_wrong_options_are_told(text, pairs, words, tmp_path):
    (tmp_path / "experiment.yml").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_metadata(tmp_path / "experiment.yml", pairs)
