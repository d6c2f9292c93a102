"""What pip installs from the wheel, used outside the checkout."""

import filecmp
import os
import re
import sys
import tomllib
import zipfile
from pathlib import Path

import pexpect
import pytest
from support import command
from terminal import curio

from curio_plans.session.profile import write_profile
from curio_plans.session.settings import Settings
from ophyd_devices.envelope import Envelope

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "profile_collection"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment of a user for whom the wheel was installed."""
    directory = tmp_path_factory.mktemp("wheel")
    command(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory, cwd=ROOT)
    (wheel,) = directory.glob("curio_plans-*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(directory / "site")
    return {**os.environ, "PYTHONPATH": str(directory / "site"), "IPYTHONDIR": str(directory / "ipython")}


def test_the_wheel_has_everything_that_a_session_needs(installed, tmp_path):
    places = command(
        sys.executable,
        "-c",
        "import agents, curio_plans, ophyd_devices\n"
        "for package in (agents, curio_plans, ophyd_devices): print(package.__file__)",
        env=installed,
        cwd=tmp_path,
    )
    assert all(place.startswith(installed["PYTHONPATH"]) for place in places.split())
    command(sys.executable, "-m", "curio_plans.cli", "profile", "lab", env=installed, cwd=tmp_path)
    compared = filecmp.dircmp(PROFILE / "startup", tmp_path / "lab" / "profile_collection" / "startup")
    assert not compared.diff_files
    assert sorted(compared.common_files) == [
        "00-engine.py", "10-devices.py", "20-plans.py", "user_group_permissions.yaml",
    ]  # fmt: skip


def test_a_session_starts_in_an_empty_directory(installed, tmp_path):
    shell = pexpect.spawn(
        sys.executable, ["-m", "curio_plans.cli", "ipython", str(tmp_path)], env={**installed, "TERM": "dumb"},
        encoding="utf-8", use_poll=True, timeout=120, dimensions=(50, 200), echo=False,
    )  # fmt: skip
    shell.delayafterterminate = 5  # a session that is told to end takes a while
    try:
        shell.expect(r"In \[\d+\]: ")
        assert "start with RE(curiosity(afm" in shell.before
        assert "no plots: " in shell.before
        shell.sendline("%wa")
        shell.expect(r"In \[\d+\]: ")
        assert "afm_scanner_x" in shell.before
        assert "Error" not in shell.before
        shell.sendline("%ct")
        shell.expect(r"In \[\d+\]: ")
        assert re.search(r"afm_tip_force +0\.0", shell.before)
        shell.sendline("exit")
        shell.expect(pexpect.EOF)
    finally:
        shell.close(force=True)
    assert (tmp_path / "curio-data").is_dir()


def test_nothing_is_overwritten(tmp_path):
    written = write_profile(tmp_path)
    written[0].write_text("mine")
    said = curio("profile", tmp_path, code=2)
    assert "exists already, and nothing is overwritten" in " ".join(said.split())
    assert written[0].read_text() == "mine"
    assert "there is no directory" in curio("ipython", tmp_path / "nowhere", code=2)


def test_the_settings_file_explains_every_setting():
    text = (PROFILE / "curio.toml").read_text()
    Settings.model_validate(tomllib.loads(text))
    settings = Settings.model_validate(tomllib.loads(re.sub(r"^# (?=\S+ = |\[)", "", text, flags=re.MULTILINE)))
    assert set(Envelope.model_validate(settings.envelope).model_dump()) == set(settings.envelope)
    assert settings.model_fields_set == set(Settings.model_fields)
