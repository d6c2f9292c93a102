"""The notebooks of the documentation run from the first to the last cell."""

import shutil
from itertools import chain
from pathlib import Path

import nbclient
import nbformat

NOTEBOOKS = Path(__file__).parents[2] / "docs" / "notebooks"
ORDER = ("first-steps", "your-own-map", "why-there")


def outputs_of(cells, kind):
    return [output for cell in cells for output in cell.outputs if output.output_type == kind]


def test_the_notebooks_run(empty, tmp_path):
    read = {name: nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4) for name in ORDER}
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(ORDER)
    shutil.copytree(empty, tmp_path / "my-data")
    together = nbformat.v4.new_notebook(cells=list(chain.from_iterable(book.cells for book in read.values())))
    nbclient.NotebookClient(together, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()

    cells = [cell for cell in together.cells if cell.cell_type == "code"]
    runs = [cell for cell in cells if "RE(" in cell.source]
    assert len(runs) == 3
    for cell in runs:
        (shown,) = outputs_of([cell], "display_data")
        assert "points, success" in shown.data["text/html"], "one live line that ends with the run"
        assert not [output for output in outputs_of([cell], "stream") if output.name == "stdout"]
    said = "".join(output.text for output in outputs_of(cells, "stream"))
    assert "11/11 decisions identical (and 5/5 initial points)" in said
    tables = [output.data.get("text/html", "") for output in outputs_of(cells, "execute_result")]
    assert sum("data:image/png;base64" in table for table in tables) == 2, "runs show themselves with their figure"
    for name, book in read.items():
        stored = [cell for cell in book.cells if cell.cell_type == "code"]
        assert any(cell.outputs for cell in stored), f"{name} has no outputs to show on the site; see CONTRIBUTING.md"
        assert not outputs_of(stored, "error")
