import subprocess
import sys

import pytest

import ophyd_devices


@pytest.mark.parametrize(
    "statement",
    [
        "import ophyd_devices",
        "from ophyd_devices import AfmBackend, DoseLog, Envelope",
        "from ophyd_devices.registry import check_backend, known_backends; known_backends()",
        "from ophyd_devices.registry import check_backend; check_backend('twin', {'seed': 1})",
    ],
)
def test_ophyd_is_loaded_only_where_there_are_devices(statement):
    loaded = "import sys; assert 'ophyd' not in sys.modules; assert 'bluesky' not in sys.modules"
    subprocess.run([sys.executable, "-c", f"{statement}; {loaded}"], check=True)


def test_the_package_offers_what_it_lists():
    assert set(ophyd_devices.__all__) <= set(dir(ophyd_devices))
    for name in ophyd_devices.__all__:
        assert getattr(ophyd_devices, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Afm'"):
        ophyd_devices.Afm  # noqa: B018
