"""How long ``curio run --sample`` needs to open a large map and to decide, and how much memory.

A map of 128 × 128 curves of 600 steps is written in the layout of docs/how-to/your-own-files.md and as a Nanonis grid.
Times are from the start of the command to its first point and to the first decision of the agent's model, the eleventh.
The aim: 10 s and 2 GB.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

SIDE, STEPS = 128, 600
INITIAL = 10


@dataclass(frozen=True)
class Opening:
    """Wall and CPU time in s to the first point and to the first decision, and the peak of memory in MB."""

    first: tuple[float, float]
    decision: tuple[float, float]
    peak: float


def write_layout(path: Path, curves: np.ndarray, picture: np.ndarray) -> None:
    """Write a map in our own layout."""
    import h5py

    with h5py.File(path, "w") as file:
        file["spectra"], file["image"] = curves.astype(np.float32), picture
        file["axis"], file["extent"] = np.linspace(0, 300, curves.shape[2]), [5.0, 5.0]
        file["spectra"].attrs.update(name="force", unit="nN")
        file["axis"].attrs.update(name="distance", unit="nm")
        file["extent"].attrs["unit"] = "µm"


def write_grid(path: Path, curves: np.ndarray, picture: np.ndarray) -> None:
    """Write a map as a Nanonis grid."""
    rows, columns, points = curves.shape
    header = "\r\n".join([
        f'Grid dim="{columns} x {rows}"', "Grid settings=0;0;5.0E-6;5.0E-6;0", 'Sweep Signal="Z (m)"',
        'Fixed parameters="Sweep Start;Sweep End"', 'Experiment parameters="Z (m)"', "# Parameters (4 byte)=3",
        f"Points={points}", 'Channels="Force (N)"', ":HEADER_END:", "",
    ])  # fmt: skip
    table = np.zeros((rows * columns, 3 + points), ">f4")
    table[:, 1], table[:, 2] = 3e-7, 1e-9 * picture.ravel()
    table[:, 3:] = 1e-9 * curves.reshape(rows * columns, points)
    path.write_bytes(header.encode() + table.tobytes())


WRITERS = {"map.h5": write_layout, "map.3ds": write_grid}


def force_map(side: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return curves (side, side, steps) in nN whose decay follows a topography (side, side) in nm."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / 20
    picture = 5 * np.sin(x) * np.cos(y)
    decay = 0.1 * np.exp(0.05 * picture)[..., None]
    curves = 10 * np.exp(-np.linspace(0, 1, steps) / decay) + 0.05 * rng.normal(size=(side, side, steps))
    return curves, picture


def opening(path: Path, data: Path) -> Opening:
    """Run a few points on a file and return what it took."""
    command = [sys.executable, "-m", "curio_plans.cli", "run", "--sample", str(path), "--points", str(INITIAL + 1),
               "--no-figure", "--data", str(data)]  # fmt: skip
    started, seen = time.perf_counter(), {}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with process.stdout as output:
        for line in output:
            for word in ("initial", "curious"):
                if word in line.split() and word not in seen:
                    seen[word] = (time.perf_counter() - started, _cpu(process.pid))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or len(seen) < 2:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode} after {seen}")
    return Opening(seen["initial"], seen["curious"], usage.ru_maxrss / 1024)


def _cpu(process: int) -> float:
    """Return the CPU time of a process so far, in s."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Open each kind of file and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small map in one format")
    chosen = parser.parse_args()
    side, steps = (24, 40) if chosen.quick else (SIDE, STEPS)
    curves, picture = force_map(side, steps)
    table = Table("file", "MB", "first point: s", "CPU s", "first decision: s", "CPU s", "peak MB", box=None)
    with tempfile.TemporaryDirectory() as name:
        for file in list(WRITERS)[: 1 if chosen.quick else None]:
            path = Path(name) / file
            WRITERS[file](path, curves, picture)
            found = opening(path, Path(name) / "data")
            numbers = (*found.first, *found.decision)
            table.add_row(file, f"{path.stat().st_size / 1e6:.0f}", *(f"{number:.1f}" for number in numbers),
                          f"{found.peak:.0f}")  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
