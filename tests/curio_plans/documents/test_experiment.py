import sys

import pytest
from bluesky import RunEngine
from support import command

from curio_plans.documents.experiment import Experiment, ExperimentError, check_experiment
from curio_plans.documents.start import FORMAT, normalise
from curio_plans.plans import image
from curio_plans.session.persistent import PersistentMetadata

FULL = {
    "title": "switching at walls",
    "sample": {"name": "PTO-7", "formula": "PbTiO3", "thickness": 200.0, "more": {"substrate": "SrTiO3"}},
    "tip": {"name": "PPP-EFM", "coating": "Pt/Ir", "spring_constant": 2.8, "resonance": 75e3, "radius": 25.0},
    "operator": "Ada",
    "proposal": "2026-117",
    "more": {"humidity": 0.31, "remarks": ["dry", None]},
}


def test_an_experiment_stands_in_the_start_document(afm, engine, documents):
    engine(image(afm, md={"experiment": FULL, "free": 1}))
    start = documents[0][1]
    assert (start["experiment"], start["free"]) == (FULL, 1)
    assert start["curio_format"] == FORMAT


def test_a_text_is_the_name_of_a_sample_or_tip_and_what_is_missing_is_left_out():
    assert check_experiment({"sample": "PTO-7", "tip": " new "}) == {
        "sample": {"name": "PTO-7"},
        "tip": {"name": "new"},
    }
    assert check_experiment(Experiment(operator="Ada")) == {"operator": "Ada"}


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"operater": "Ada"}, "experiment: operater: there is no such key, got 'Ada'; known are .*operator.*'more'"),
        ({"sample": {"name": "a", "thick": 3}}, r"experiment: sample\.thick: there is no such key.* thickness"),
        ({"sample": {"thickness": 3}}, r"experiment: sample\.name: expected a value, got none; known are more, name"),
        ({"tip": {"name": "a", "resonance": -1.0}}, r"experiment: tip\.resonance: .*greater than 0, got -1\.0"),
        ({"tip": {"name": "a", "radius": float("inf")}}, r"experiment: tip\.radius: .*finite number, got inf"),
        ({"operator": 7}, r"experiment: operator: .*string, got 7"),
        ({"operator": " "}, r"experiment: operator: .*at least 1 character"),
        ({"more": {"when": object()}}, r"experiment: more\.when: .*JSON"),
        ({"more": {"x": float("nan")}}, r"experiment: more\.x.*: .*finite number, got nan"),
        ("PTO-7", "experiment: .*got 'PTO-7'"),
    ],
)
def test_a_wrong_description_is_refused_before_anything_moves(block, words, afm, engine, documents):
    with pytest.raises(ExperimentError, match=words):
        engine(image(afm, md={"experiment": block}))
    assert documents == []
    assert afm.backend.time() == 0


def test_the_same_is_checked_in_the_metadata_of_the_engine(afm, tmp_path):
    metadata = PersistentMetadata(tmp_path / "metadata.db")
    engine = RunEngine(metadata, md_normalizer=normalise)
    started = []
    engine.subscribe(lambda _, doc: started.append(doc), "start")
    engine.md["experiment"] = {"sample": "PTO-7"}
    engine(image(afm))
    assert started[0]["experiment"] == {"sample": {"name": "PTO-7"}}
    engine.md["experiment"] = {"sampel": "PTO-7"}
    with pytest.raises(ExperimentError, match="sampel"):
        engine(image(afm))
    assert len(started) == 1


def test_reading_runs_does_not_load_what_checks_an_experiment():
    code = "import sys, curio_plans.documents.history; print('pydantic' in sys.modules)"
    assert command(sys.executable, "-c", code) == "False\n"
