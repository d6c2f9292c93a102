"""The command curio, as a user types it."""

import json
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from support import rewritten, unsealed
from terminal import curio

from curio_plans.cli import COMMANDS
from curio_plans.documents.history import History
from curio_plans.store.storage import Storage

SMALL = ["--points", "9", "--initial", "5", "--pixels", "32", "--stride", "3"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A directory with one small run of the default agent."""
    directory = tmp_path_factory.mktemp("runs") / "data"
    output = curio("run", *SMALL, directory=directory)
    (directory / "output.txt").write_text(output)
    return directory


@pytest.fixture
def sample(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(20, 24)).cumsum(axis=1)
    np.savez(tmp_path / "sample.npz", image=image, spectra=image[..., None] * np.linspace(-1, 1, 12))
    return tmp_path / "sample.npz"


def test_a_run_shows_itself_and_says_where_everything_is(data):
    output = (data / "output.txt").read_text()
    lines = re.findall(r"^ +(\d+)  (initial|curious)", output, flags=re.MULTILINE)
    assert [int(number) for number, _ in lines] == list(range(1, 10))
    assert [phase for _, phase in lines] == ["initial"] * 5 + ["curious"] * 4
    (uid,) = re.findall(r"uid +([0-9a-f-]{36})", output)
    assert (data / "figures" / f"{uid}.png").read_bytes().startswith(b"\x89PNG")
    assert re.search(rf"data: +{re.escape(str(data))}", output)
    assert f"curio replay {uid[:8]}" in output


def test_runs_are_listed(data):
    output = curio("runs", directory=data)
    (row,) = [line for line in output.splitlines() if "curio" in line]
    assert row.split()[-4:] == ["curiosity", "curio", "9", "success"]


def test_a_run_is_found_by_the_beginning_of_its_uid(data):
    uid = re.findall(r"uid +([0-9a-f-]{36})", (data / "output.txt").read_text())[0]
    assert uid in curio("show", uid[:6], directory=data)


def test_show_draws_where_it_is_told_to(data, tmp_path):
    output = curio("show", "latest", "--output", tmp_path / "here" / "run.png", directory=data)
    assert (tmp_path / "here" / "run.png").stat().st_size > 10_000
    assert "9 measured of 9 planned" in output


def test_replay_agrees(data):
    assert "4/4 decisions identical (and 5/5 initial points)" in curio("replay", directory=data)


def test_replay_notices_a_changed_spectrum(data, tmp_path):
    shutil.copytree(data / "journal", tmp_path / "journal")
    (journal,) = tmp_path.glob("journal/*/documents.jsonl")
    first = next(
        line
        for line in journal.read_text().splitlines()
        if '"candidate": {' not in line and '"seq_num": 1,' in line and "afm_spectrometer_height" in line
    )
    array = journal.parent / json.loads(first)[1]["data"]["afm_spectrometer_spectrum"]["__npy__"]
    np.save(array, np.load(array) + 0.5)
    assert f"{array.name}, but it cannot be read: the file was changed" in curio("replay", directory=tmp_path, code=2)
    unsealed(journal.parent)
    output = curio("replay", directory=tmp_path, code=1)
    assert "first difference at decision 6 of 9" in output


def test_a_completed_run_on_a_file_goes_on_with_more_points(sample, tmp_path):
    data = tmp_path / "data"
    chosen = ["--preprocess", "bin=2", "--agent", "random", "--window", "4", "--no-figure"]
    curio("run", "--sample", sample, "--points", "4", *chosen, directory=data)
    assert "there is nothing to resume" in curio("resume", "latest", "--sample", sample, directory=data, code=2)
    output = curio("resume", "latest", "--sample", sample, "--points", "6", "--no-figure", directory=data)
    assert "6 measured of 6 planned" in output


def test_a_measured_sample_without_an_extent_is_told(sample, tmp_path):
    arguments = ["run", "--sample", sample, "--agent", "random", "--points", "4", "--window", "4"]
    assert "1 px counts as 1 nm" in curio(*arguments, directory=tmp_path / "a")
    output = curio(*arguments, "--extent", "480", directory=tmp_path / "b")
    assert "1 px counts" not in output
    assert "recorded, sample.npz" in output


def test_a_run_that_ends_by_a_rule_says_so_everywhere(tmp_path):
    arguments = ["--agent", "random", "--points", "90", "--pixels", "32", "--no-figure"]
    output = curio("run", *arguments, "--until", "loops 3", "--until", "minutes=5", directory=tmp_path)
    assert re.search(r"ended +until loops 3: 3 taken", output)
    assert "3 measured of 90 planned" in output
    assert "success, until loops 3: 3 taken" in curio("runs", directory=tmp_path)
    assert curio("run", *arguments, "--until", "loops 3", "--dry-run", directory=tmp_path).count("spectrum of") == 3


def test_agents_are_listed_with_their_options(tmp_path):
    output = curio("agents", directory=tmp_path)
    assert re.search(r"paper-latent +Predicts its error from an autoencoder", output)
    assert "random_probability=0.0" in output


def test_an_agent_is_explained_option_by_option(tmp_path):
    output = curio("agents", "curio", directory=tmp_path)
    assert output.count("\n") > 10
    assert re.search(r"^ choice +reducible +.*random.* +\w+", output, flags=re.MULTILINE)
    assert "use: curio run --agent curio -o seed=0" in output
    assert "It has no options" in curio("agents", "grid", directory=tmp_path)
    assert "there is no agent 'nobody'; known are curio" in curio("agents", "nobody", directory=tmp_path, code=2)


@pytest.mark.parametrize(
    "command", [[], *([command.__name__.replace("_", "-")] for commands in COMMANDS.values() for command in commands)]
)
def test_help_teaches(command, tmp_path):
    output = curio(*command, "--help", directory=tmp_path)
    assert "Usage" in output
    assert re.search(rf"^ +(?:\w+=\S+ )?curio {' '.join(command)}", output, flags=re.MULTILINE), "an example"


def modules(*arguments):
    """Return what a command has imported at its end."""
    code = (
        "import sys; from curio_plans.cli import app; sys.stdout = sys.stderr; app(sys.argv[1:], standalone_mode=False)"
    )
    code = f"import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.__stdout__)); {code}"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    return done.stderr, set(done.stdout.split())


HEAVY = {"bluesky", "matplotlib", "ophyd", "scipy", "sklearn", "tiled", "torch"}


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["rnu"]])
def test_help_and_a_mistyped_command_import_nothing_heavy(arguments):
    told, imported = modules(*arguments)
    assert "Usage" in told or "No such command" in told
    assert not imported & {*HEAVY, "numpy"}


def test_listing_runs_imports_nothing_heavy(data):
    told, imported = modules("runs", "--data", data)
    assert "curiosity" in told
    assert not imported & HEAVY


@pytest.mark.parametrize("command", ["run", "resume", "show", "replay", "explain"])
def test_a_command_says_what_it_loads_before_anything_heavy_is_imported(command, data):
    code = """
import sys
from curio_plans.cli import app, output

step = output.Progress.step
output.Progress.step = lambda progress, text: print(text, *sys.modules, flush=True) or step(progress, text)
app(sys.argv[1:])
"""
    arguments = [command, *(["latest", "1"] if command == "explain" else []), "--data", str(data)]
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        said = process.stdout.readline()
        process.kill()
    assert said.startswith("loading the ")
    assert not set(said.split()) & {*HEAVY, "numpy"}


def files(directory):
    return sorted(path for path in directory.rglob("*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--agent", "bold"], "there is no agent 'bold'; known are curio, deep-kernel, farthest-point"),
        (["--points", "0"], "points: Input should be greater than or equal to 1, got 0"),
        (["--points", "-5"], "points: Input should be greater than or equal to 1, got -5"),
        (["--points", "100000"], "choose fewer points, a smaller window or a smaller stride"),
        (["--initial", "0"], "initial must be a whole number of at least 4, got 0"),
        (["--initial", "30", "--points", "20"], "starts from 30 initial points, but the run has only 20"),
        (["--agent", "random", "--initial", "3"], "'random' has no initial points; leave out --initial"),
        (["--window", "2"], "window: Input should be greater than or equal to 3, got 2"),
        (["--window", "500"], "window of 500 px does not fit"),
        (["--stride", "0"], "stride: Input should be greater than or equal to 1, got 0"),
        (["--seed", "-1"], "seed must be a whole number of at least 0"),
        (["--pixels", "0"], "pixels"),
        (["--effects", "wild"], "expected effects as 'calm', 'realistic'"),
        (["--extent", "100"], "--extent: only a measured sample takes this; give --sample as well"),
        (["--agent", "random", "--until", "error 0.3"], "'random' does not; choose another agent, or end by minutes"),
        (["--until", "loops"], "expected --until name=value, got 'loops'"),
        (["--until", "loops many"], "until.loops: Input should be a whole number, got 'many'"),
        (["-o", "filters"], "expected --option name=value, got 'filters'"),
        (["-o", "colour=3"], "has no option colour; it takes seed, initial"),
        (["-o", "checks=many"], "checks must be a whole number"),
        (["--sample", "nowhere.npz"], "nowhere.npz"),
        (["--learn-from", "latest"], "no such directory"),
        (["--settings", "nowhere.toml"], "cannot read the settings nowhere.toml"),
        (["--settings", "/"], "cannot read the settings /"),
        (["--sample", "/"], "/: expected a file, this is a directory"),
        (["--experiment", "nowhere.yml"], "nowhere.yml: No such file or directory; name a YAML or JSON file"),
        (["--experiment", "/"], "/: Is a directory; name a YAML or JSON file"),
        (["--experiment", "/dev/null"], "got None; write lines like title: PTO"),
        (["--md", "title"], "expected --md name=value or part.name=value, got 'title'"),
        (["--md", "uid=3"], "uid and time of a run come from the RunEngine; choose another name"),
        (["--md", "a=1", "--md", "a.b=2"], "'a' is 1 already and has no parts"),
        (["--effects", ""], "expected effects as 'calm', 'realistic'"),
        (["--quality", "=3"], "expected --quality name=value, got '=3'; put a name and = in front of the value"),
    ],
)
def test_bad_input_is_told_in_one_message_and_leaves_nothing(arguments, words, tmp_path):
    output = curio("run", *arguments, directory=tmp_path / "data", code=2)
    assert words in output
    assert "Traceback" not in output
    assert files(tmp_path) == []


def spoil(sample, tmp_path, **changes):
    content = dict(np.load(sample))
    for key, change in changes.items():
        if change is None:
            del content[key]
        else:
            content[key] = change(content[key]) if callable(change) else change
    np.savez(tmp_path / "bad.npz", **content)
    return tmp_path / "bad.npz"


def put(place, value):
    def change(array):
        array[place] = value
        return array

    return change


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"spectra": None}, "spectra"),
        ({"spectra": lambda a: a[:, :1]}, r"\(20, 1, 12\)"),
        ({"image": put((slice(2, 9), slice(2, 9)), np.nan)}, "at most 10% .* got 49 of 480"),
        ({"axis": np.full(12, np.inf)}, r"'axis', got 12 that are not"),
        ({"extent_nm": np.array(-3.0)}, "extent"),
    ],
)
def test_a_bad_sample_is_refused_with_the_place_of_the_fault(changes, words, sample, tmp_path):
    bad = spoil(sample, tmp_path, **changes)
    output = curio("run", "--sample", bad, "--agent", "random", "--points", "3", directory=tmp_path / "data", code=2)
    assert re.search(words, output), output
    assert not (tmp_path / "data").exists()


def test_a_file_that_is_no_sample_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("not an archive")
    output = curio("run", "--sample", tmp_path / "text.npz", directory=tmp_path / "data", code=2)
    assert "text.npz" in output
    assert "Traceback" not in output


def rename(lines, old, new):
    lines[:] = [line.replace(old.encode(), new.encode()) for line in lines]


def test_unknown_and_ambiguous_runs_are_told(data, tmp_path):
    assert "there is no run 'zzz'" in curio("show", "zzz", directory=data, code=2)
    (uid,) = [path.name for path in (data / "journal").iterdir()]
    for twin in (uid[:-1] + "0", uid[:-1] + "1"):
        shutil.copytree(data / "journal" / uid, tmp_path / "journal" / twin)
        rewritten(tmp_path / "journal" / twin, lambda lines, twin=twin: rename(lines, uid, twin))
    for command in ("show", "replay"):
        output = curio(command, uid[:8], directory=tmp_path, code=2)
        assert f"{uid[:8]!r} may be any of {uid[:8]}" in output


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["show", "--output", "/"], "expected a file, this is a directory; add a name such as run.png"),
        (["show", "--output", "run"], "an ending that tells the format; add .png or .pdf"),
        (["show", "--output", "/dev/null/run.png"], "cannot use /dev/null: File exists; check the path"),
        (["show", "--data", "/dev/null"], "expected a directory of runs, but /dev/null is a file"),
        (["explain", "latest", "1", "--output", "/"], "expected a file, this is a directory"),
        (["export", "latest", "--to", "/dev/null/run.nxs"], "Not a directory; check the path and its permissions"),
        (["report", "--output", "/dev/null", "--only", "maps"], "cannot use /dev/null: File exists"),
    ],
)
def test_a_bad_path_is_told(command, words, data):
    output = curio(*command, directory=data, code=2)
    assert words in output
    assert "Traceback" not in output


def test_a_directory_without_runs_is_said_to_be_empty(tmp_path):
    assert "there are no runs" in curio("runs", directory=tmp_path)


def test_a_directory_without_runs_is_told_and_not_made(tmp_path):
    for command in ("runs", "show", "replay", "serve"):
        assert "no such directory" in curio(command, directory=tmp_path / "none", code=2)
    assert files(tmp_path) == []


def test_a_data_directory_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "data").write_text("a file")
    output = curio("run", "--agent", "random", "--points", "2", directory=tmp_path / "data", code=2)
    assert "expected a directory for the data" in output
    assert (tmp_path / "data").read_text() == "a file"


def test_ctrl_c_keeps_what_was_measured_and_withdraws(tmp_path):
    command = [sys.executable, "-m", "curio_plans.cli", "run", "--agent", "random", "--points", "900", "--no-figure"]
    process = subprocess.Popen(
        [*command, "--data", str(tmp_path / "data")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        for line in process.stdout:
            if line.lstrip().startswith("5 "):
                break
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, rest
    assert "interrupted; what was measured is kept" in rest
    assert "Traceback" not in rest
    output = curio("runs", directory=tmp_path / "data")
    (row,) = [line for line in output.splitlines() if "random" in line]
    *_, points, status = row.split()
    assert status == "abort"
    assert 5 <= int(points) < 900
    with Storage.local(tmp_path / "data") as storage:
        documents = storage.documents("latest")
    assert len(History(documents).observations) == int(points)
    contact = [doc["data"]["afm_tip_contact"] for name, doc in documents if "afm_tip_contact" in doc.get("data", {})]
    assert not contact[-1]  # the baseline at the end
    assert "decisions identical" in curio("replay", directory=tmp_path / "data")
