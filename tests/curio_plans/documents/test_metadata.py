import json
import re
import subprocess
import sys

import pytest
from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData

from curio_plans.cli.metadata import read_metadata
from curio_plans.documents.experiment import Experiment, ExperimentError, check_experiment
from curio_plans.documents.history import History
from curio_plans.documents.start import FORMAT, FormatError, git_state, normalise
from curio_plans.plans import curiosity, image
from curio_plans.run.metadata import run_metadata
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
        ({"operater": "Ada"}, "experiment.operater: there is no such name, known are .*operator.*'more'"),
        ({"sample": {"name": "a", "thick": 3}}, r"experiment\.sample\.thick: there is no such name.* thickness"),
        ({"sample": {"thickness": 3}}, r"experiment\.sample\.name: Field required"),
        ({"tip": {"name": "a", "resonance": -1.0}}, r"experiment\.tip\.resonance: .*greater than 0, got -1\.0"),
        ({"operator": 7}, r"experiment\.operator: .*string, got 7"),
        ({"operator": " "}, r"experiment\.operator: .*at least 1 character"),
        ({"more": {"when": object()}}, r"experiment\.more\.when: .*JSON"),
        ({"more": {"x": float("nan")}}, r"experiment\.more\.x.*: .*finite number, got nan"),
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


@pytest.mark.parametrize("key", ["git", "curio_format", "versions"])
def test_what_a_replay_relies_on_cannot_be_replaced(key, afm):
    with pytest.raises(ValueError, match=f"md must not set {key}"):
        run_metadata(afm, "image", {}, {key: 2})


def git(directory, *arguments):
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_state_of_a_checkout(tmp_path):
    assert git_state(tmp_path) is None
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    git(checkout, "init", "--quiet")
    (checkout / "file").write_text("one")
    git(checkout, "add", "file")
    git(checkout, "commit", "--quiet", "--message", "one")
    commit = git(checkout, "rev-parse", "HEAD")
    assert git_state(checkout) == {"commit": commit, "dirty": False}
    (checkout / "file").write_text("two")
    git_state.cache_clear()
    assert git_state(checkout) == {"commit": commit, "dirty": True}


def test_without_git_nothing_is_claimed(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    assert git_state(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    git_state.cache_clear()
    assert git_state(tmp_path) is None


def test_reading_runs_does_not_load_what_checks_an_experiment():
    code = "import sys, curio_plans.documents.history; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_run_of_a_later_version_is_refused(afm, engine, documents):
    engine(image(afm))
    later = [(name, {**doc, "curio_format": FORMAT + 1} if name == "start" else doc) for name, doc in documents]
    with pytest.raises(FormatError, match=rf"format {FORMAT + 1}, .*formats up to {FORMAT}; install a later version"):
        History(later)
    del later[0][1]["curio_format"]
    assert History(later).frame is not None, "runs of before there was a format"


def test_every_number_of_every_stream_has_a_unit(afm, engine, documents, wanderer):
    engine.preprocessors.append(SupplementalData(baseline=afm.baseline))
    engine(curiosity(afm, {"seed": 1}, 6, build=wanderer, stride=6, map_every=3))
    descriptors = [doc for name, doc in documents if name == "descriptor"]
    assert {doc["name"] for doc in descriptors} == {"baseline", "image", "reference", "agent", "primary", "agent_map"}
    units = {}
    for descriptor in descriptors:
        configured = [device["data_keys"] for device in descriptor["configuration"].values()]
        for name, key in ((name, key) for keys in (descriptor["data_keys"], *configured) for name, key in keys.items()):
            if key["dtype"] != "string" and not str(key.get("dtype_numpy", "")).startswith("<U"):
                assert "units" in key, f"{descriptor['name']}: {name}"
                units[name] = key["units"]
    # A pure number has an empty unit; what has a dimension must not.
    pure = {name for name, unit in units.items() if not unit}
    counts = (
        r"candidate|attempt|starts|records|observations|loops|steps_per_cycle|cycles|contact|snr|resonance|saturated"
        r"|score|part_|loss_|map_of_|frame"
    )
    assert not [name for name in pure if not re.search(counts, name)]
    spectrum = units["afm_spectrometer_spectrum"]
    expected = {
        "afm_scanner_x": "nm", "afm_imager_area": "nm", "afm_spectrometer_axis": "V", "afm_tip_setpoint": "nN",
        "afm_imager_line_rate": "Hz", "afm_spectrometer_time": "s", "agent_x": "nm", "agent_think_time": "s",
        "agent_map_prediction": spectrum, "agent_map_mse": f"({spectrum})²",
        "afm_reference_spectra": spectrum,
    }  # fmt: skip
    assert {name: units[name] for name in expected} == expected


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
    (tmp_path / "experiment.json").write_text(json.dumps(FULL))
    assert read_metadata(tmp_path / "experiment.json", []) == {"experiment": FULL}
    assert read_metadata(None, []) == {}


@pytest.mark.parametrize(
    ("text", "pairs", "words"),
    [
        ("a: b: c", [], "expected YAML or JSON"),
        ("- 1", [], r"got \[1\]"),
        ("sampel: a", [], r"experiment\.sampel"),
        ("operator: Ada", ["operator"], "expected --md name=value"),
        ("operator: Ada", ["experiment..x=1"], "expected --md name=value"),
        ("operator: Ada", ["experiment.operator.name=1"], "'operator' is 'Ada' already"),
    ],
)
def test_wrong_options_are_told(text, pairs, words, tmp_path):
    (tmp_path / "experiment.yml").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_metadata(tmp_path / "experiment.yml", pairs)
