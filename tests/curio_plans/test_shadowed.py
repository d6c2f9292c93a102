"""Another package of the name agents before ours."""

import subprocess
import sys


def test_another_package_of_that_name_is_told(tmp_path):
    (tmp_path / "agents.py").write_text("")
    command = [sys.executable, "-c", "import curio_plans"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"expected the package 'agents' of curio, got {tmp_path}" in done.stderr
