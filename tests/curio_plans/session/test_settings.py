import re

import pytest

from curio_plans.session.settings import SettingsError, load_settings
from ophyd_devices.envelope import Envelope
from ophyd_devices.registry import UnknownBackendError, check_backend, make_backend


def load(tmp_path, text=None, **environment):
    file = tmp_path / "lab.toml"
    if text is not None:
        file.write_text(text)
        environment["CURIO_SETTINGS"] = str(file)
    return load_settings(check_backend, Envelope.model_validate, environment=environment)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_without_anything_there_is_the_twin(tmp_path):
    settings = load(tmp_path)
    assert settings.backend.name == "twin"
    assert str(settings.data) == "curio-data"
    assert settings.tiled is None


def test_a_file_makes_an_instrument(tmp_path):
    settings = load(tmp_path, 'data = "d"\n[backend]\nname = "twin"\noptions = { seed = 4, pixels = [16, 24] }')
    backend = make_backend(settings.backend.name, **settings.backend.options)
    assert backend.seed == 4
    assert backend.info.pixels == (16, 24)  # a list of the file, converted to what the option asks for


def test_the_file_in_the_working_directory_is_found_and_another_is_preferred(tmp_path):
    (tmp_path / "curio.toml").write_text('data = "here"')
    assert str(load(tmp_path).data) == "here"
    assert str(load(tmp_path, 'data = "there"').data) == "there"
    assert (
        str(load_settings(check_backend, Envelope.model_validate, tmp_path / "curio.toml", {"CURIO_DATA": "env"}).data)
        == "env"
    )


def test_the_environment_comes_first(tmp_path):
    text = 'data = "d"\n[tiled]\nuri = "http://a"\n[backend]\nname = "twin"\noptions = { seed = 4 }'
    settings = load(
        tmp_path, text, CURIO_DATA="e", CURIO_TILED_API_KEY="secret", CURIO_BACKEND="recorded",
        CURIO_BACKEND_OPTIONS='{"path": "a.npz"}',
    )  # fmt: skip
    assert str(settings.data) == "e"
    assert (settings.tiled.uri, settings.tiled.api_key) == ("http://a", "secret")
    assert (settings.backend.name, settings.backend.options) == ("recorded", {"path": "a.npz"})
    sample = load(tmp_path, text, CURIO_SAMPLE="b.npz")
    assert (sample.backend.name, sample.backend.options) == ("recorded", {"path": "b.npz"})


@pytest.mark.parametrize(
    ("text", "environment", "words"),
    [
        (
            'dat = "x"',
            {},
            "lab.toml: there is no setting dat (= 'x'); known are data, doses, tiled, agent_at, backend, ",
        ),
        ('[backend]\nnam = "x"', {}, "there is no setting backend.nam (= 'x'); known are name, options"),
        ('[tiled]\nurl = "x"', {}, "tiled needs the setting uri"),
        ('[tiled]\nuri = "x"\nkey = "secret"', {}, "there is no setting tiled.key (= …); known are uri, api_key"),
        ("[envelope]\namplitude = 8", {}, "lab.toml: envelope.amplitude = 8: Extra inputs are not permitted"),
        ("[envelope]\namplitude_max = -8", {}, "envelope.amplitude_max = -8: Input should be greater than 0"),
        ('backend = "twin"', {}, "backend = 'twin': Input should be a valid dictionary"),
        ("data = 3", {}, "data = 3: Input is not a valid path"),
        ("data =", {}, "lab.toml is not TOML"),
        ('[backend]\nname = "twn"', {}, "lab.toml: unknown backend 'twn'; known are epics, nanonis, recorded, twin"),
        ("[backend]\noptions = { sed = 3 }", {}, "backend 'twin' has no option sed (= 3); it takes seed, real_time"),
        ('[backend]\noptions = { seed = "a" }', {}, "option seed of backend 'twin' = 'a': Input should be a valid int"),
        ('[backend]\nname = "epics"', {}, "backend 'epics' needs the option prefix; it takes prefix, timeout"),
        ("", {"CURIO_BACKEND": "no.such:thing"}, "environment: backend 'no.such:thing' cannot be loaded: No module"),
        ("", {"CURIO_BACKEND": "json:thing"}, "module 'json' has no attribute 'thing'"),
        ("", {"CURIO_BACKEND": "twin", "CURIO_BACKEND_OPTIONS": "seed=3"}, "'seed=3' is not JSON like"),
        ("", {"CURIO_BACKEND_OPTIONS": "{}"}, "CURIO_BACKEND_OPTIONS needs CURIO_BACKEND"),
        ("", {"CURIO_BACKEND": "twin", "CURIO_SAMPLE": "a"}, "CURIO_SAMPLE and CURIO_BACKEND each choose"),
        ("", {"CURIO_TILED_API_KEY": "secret"}, "tiled needs the setting uri"),
        (
            'agent_at = "gpu"',
            {},
            "agent_at.address = 'gpu': Value error, expected an address such as http://127.0.0.1:8765",
        ),
        ('[agent_at]\nkey = "secret"', {}, "agent_at needs the setting address"),
        (None, {"CURIO_SETTINGS": "nowhere.toml"}, "cannot read the settings nowhere.toml"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_what_would_be_right(tmp_path, text, environment, words):
    with pytest.raises(SettingsError, match=re.escape(words)):
        load(tmp_path, text, **environment)


def test_a_dotted_path_is_a_backend(tmp_path, monkeypatch):
    (tmp_path / "lab_scope.py").write_text(
        "from ophyd_devices.twin import twin\ndef make(number: int = 1):\n    return twin(seed=number)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert make_backend("lab_scope:make", number=7).seed == 7
    with pytest.raises(ValueError, match="backend 'lab_scope:make' has no option seed"):
        make_backend("lab_scope:make", seed=7)
    with pytest.raises(UnknownBackendError, match="unknown backend 'lab_scope'; known are"):
        make_backend("lab_scope")


def test_a_place_comes_from_file_and_environment_and_its_key_goes_into_no_document(tmp_path):
    text = '[agent_at]\naddress = "http://gpu:1"\nwait = 5\n'
    place = load(tmp_path, text, CURIO_AGENT_AT="http://gpu:2", CURIO_THINK_KEY="secret").agent_at
    assert (place.address, place.key, place.wait) == ("http://gpu:2", "secret", 5.0)
    assert "key" not in place.rule()
    assert load(tmp_path, "", CURIO_THINK_KEY="secret").agent_at is None
