"""Damage a stored run at random, in the ways in which files are damaged: for tests of what reads them."""

import json
import os
import shutil

import numpy as np
from support import LINES, change_lines, resealed, unsealed

__all__ = [
    "FORGERIES", "HEADERS", "LINES", "WAYS", "change_lines", "change_value", "put", "reseal", "restore", "some", "swap",
    "unsealed",
]  # fmt: skip

JUNK = (
    b"", b"\0" * 50, b"[]", b"[1, 2]", b'"text"', b"7", b"null", b"{}", b'["event"]', b'["event", 7]', b'[{}, "event"]',
    b'["start", null]', b'["start", {}]', b'["stop", {"run_start": 1}]', b"\xff\xfe junk", b"[" * 2000, b'{"a":' * 2000,
    b'["event", {"__npy__": "/etc/passwd"}]', b'["start", {"__tuple__": [], "uid": 3}]', b"9" * 5000,
)  # fmt: skip
VALUES = (
    None, True, 0, -1, 10**9, 10**30, 1e308, float("nan"), float("inf"), "", "[/nope]", "latest", [], {}, [[]],
    "\ud800",
    {"__npy__": "../../other.npy"}, {"__npy__": 7}, {"__npy__": "000001.npy"}, {"__array__": [1], "dtype": "<f8"},
    {"__array__": [1], "dtype": "<f8", "shape": [10**12]}, {"__array__": "junk", "dtype": "O", "shape": [-1]},
    {"__array__": ["a"], "dtype": "<U999999999", "shape": [1]}, {"__tuple__": 3}, {"__scalar__": [1]},
    {"__dict__": [1]},
    {"__dict__": [[[], 1]]}, {"__tuple__": [1], "more": 1}, {"__check__": [1, "x"]},
)  # fmt: skip
HEADERS = (
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000,), }",
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (32,), ((((((",
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (-32,), }",
    b"{'descr': '|O', 'fortran_order': False, 'shape': (32,), }",
    b"{'descr': [('a', 'nonsense')], 'fortran_order': 7, 'shape': None}",
    b"(" * 5000,
)


def flip_bits(folder, rng):
    path = some_file(folder, rng)
    data = bytearray(path.read_bytes())
    for place in rng.integers(len(data), size=rng.integers(1, 4)):
        data[place] ^= 1 << rng.integers(8)
    path.write_bytes(data)


def overwrite(folder, rng):
    path = some_file(folder, rng)
    data = bytearray(path.read_bytes())
    start, length = rng.integers(len(data)), rng.integers(1, 600)
    data[start : start + length] = bytes(length) if rng.random() < 0.5 else rng.bytes(length)
    path.write_bytes(data)


def truncate(folder, rng):
    path = some_file(folder, rng)
    path.write_bytes(path.read_bytes()[: rng.integers(path.stat().st_size)])


def append_junk(folder, rng):
    path = some_file(folder, rng)
    path.write_bytes(path.read_bytes() + some(rng, JUNK) + (b"\n" if rng.random() < 0.5 else b""))


def swap_lines(folder, rng):
    change_lines(folder, lambda lines: swap(lines, *some_places(lines, rng)))


def remove_line(folder, rng):
    change_lines(folder, lambda lines: lines.pop(rng.integers(len(lines))))


def double_line(folder, rng):
    change_lines(folder, lambda lines: lines.insert(rng.integers(len(lines) + 1), some(rng, lines)))


def insert_junk(folder, rng):
    change_lines(folder, lambda lines: lines.insert(rng.integers(len(lines) + 1), some(rng, JUNK)))


def replace_line(folder, rng):
    change_lines(folder, lambda lines: put(lines, rng.integers(len(lines)), some(rng, JUNK)))


def line_of_another_run(folder, rng):
    other = some(rng, [path for path in folder.parent.iterdir() if path != folder])
    lines = (other / LINES).read_bytes().splitlines()
    change_lines(folder, lambda own: put(own, rng.integers(len(own)), some(rng, lines)))


def change_value(folder, rng):
    """Put another value somewhere into a document."""
    change_lines(folder, lambda lines: mutate(lines, rng.integers(len(lines)), rng))


def change_array(folder, rng):
    """Swap, remove, or replace array files."""
    one, other = (some(rng, sorted(folder.glob("*.npy"))) for _ in range(2))
    way = rng.integers(5)
    if way == 0:
        one.unlink()
    elif way == 1:
        one.write_bytes(other.read_bytes())
    elif way == 2:
        np.save(one, np.ones(rng.integers(1, 50), some(rng, ["<f4", "<f8", "<i8", "|b1", "<U3"])))
    elif way == 3:
        one.unlink()
        one.symlink_to("/etc/hostname")
    else:
        header = some(rng, HEADERS)
        one.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(256))


def something_else_than_a_file(folder, rng):
    path = folder / LINES
    kept = path.read_bytes()
    path.unlink()
    way = rng.integers(5)
    if way == 0:
        path.mkdir()
    elif way == 1:
        path.touch()
    elif way == 2:
        os.mkfifo(path)
    elif way == 3:
        path.symlink_to(folder / "nowhere")
    else:
        (folder / "elsewhere").write_bytes(kept)
        path.symlink_to(folder / "elsewhere")


WAYS = (
    flip_bits, overwrite, truncate, append_junk, swap_lines, remove_line, double_line, insert_junk, replace_line,
    line_of_another_run, change_value, change_array, something_else_than_a_file,
)  # fmt: skip


FORGERIES = (change_value, change_value, change_value, swap_lines, remove_line, double_line, replace_line)
"""What a program that writes nonsense could do, whose checksums are right."""


def reseal(folder):
    """Give the lines right checksums, whatever they hold."""
    unsealed(folder)
    resealed(folder)


def mutate(lines, place, rng):
    try:
        line = json.loads(lines[place])
    except (ValueError, RecursionError):
        return
    parents = [(line, key) for key in range(len(line))] if isinstance(line, list) else []
    for parent, key in parents:
        inner = parent[key]
        if isinstance(inner, dict):
            parents += [(inner, name) for name in inner]
        elif isinstance(inner, list):
            parents += [(inner, number) for number in range(len(inner))]
    if not parents:
        return
    parent, key = some(rng, parents)
    if isinstance(parent, dict) and rng.random() < 0.3:
        parent["other" if rng.random() < 0.5 else ""] = parent.pop(key)
    else:
        parent[key] = some(rng, VALUES)
    lines[place] = json.dumps(line).encode()


def some_file(folder, rng):
    return folder / LINES if rng.random() < 0.6 else some(rng, sorted(folder.glob("*.npy")))


def some(rng, choices):
    return choices[rng.integers(len(choices))]


def some_places(lines, rng):
    return rng.integers(len(lines), size=2)


def swap(lines, one, other):
    lines[one], lines[other] = lines[other], lines[one]


def put(lines, place, line):
    lines[place] = line


def restore(folder, pristine):
    """Make a folder what it was."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(pristine, folder)
