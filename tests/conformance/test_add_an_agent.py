"""The agents of docs/how-to/add-an-agent.md keep the laws, made exactly as the page says."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "add-an-agent.md"
BLOCK = re.compile(r"^```bash\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)


def test_the_agents_of_the_page_pass_the_conformance_suite(tmp_path):
    made = [block for block in BLOCK.findall(PAGE.read_text()) if "curio run" not in block]
    subprocess.run(["bash", "-euo", "pipefail", "-c", "\n".join(made)], cwd=tmp_path, check=True)
    path = os.pathsep.join([str(tmp_path / "roughest"), *filter(None, [os.environ.get("PYTHONPATH")])])
    suite = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider",
            str(ROOT / "tests" / "conformance" / "test_agents.py"), "-k", "roughest or lookalike",
        ],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert suite.returncode == 0, suite.stdout + suite.stderr
    passed = int(re.search(r"(\d+) passed", suite.stdout)[1])
    laws = len(
        re.findall(r"^@every_agent$", (ROOT / "tests" / "conformance" / "test_agents.py").read_text(), re.MULTILINE)
    )
    assert passed >= 2 * (laws - 2), f"most of {laws} laws, for both agents:\n{suite.stdout}"
