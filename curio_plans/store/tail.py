"""Following the journal of a run that another process may still be writing."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from curio_plans.store.codec import TAGS, Array, Arrays, decode, file_name
from curio_plans.store.errors import JournalError
from curio_plans.store.lines import Line, open_lines, split_lines
from curio_plans.store.places import parts
from curio_plans.store.reader import Document


class Stored(np.ndarray[Any, Any]):
    """Stands for a large array of an event; :meth:`load` reads it."""

    _folder: Path
    _reference: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path, reference: Mapping[str, Any]) -> "Stored":
        """Return what stands for the array to which a journal in `folder` refers."""
        file_name(reference)
        stored = np.empty(()).view(cls)
        stored._folder, stored._reference = folder, dict(reference)
        return stored

    def load(self) -> Array:
        """Return the array.

        Raises
        ------
        JournalError
            If it cannot be read, or was changed.
        """
        return Arrays(self._folder).load(self._reference)


class Tail:
    """Reads the documents of one run as they come, each once; the large arrays of events only when asked for.

    Only whole lines are read: of a run whose process was killed, everything that was on the disk.

    Parameters
    ----------
    directory : Path or str
        The data directory.
    uid : str
        The full uid.

    Attributes
    ----------
    damage : str
        What could not be read; empty if nothing.
    """

    def __init__(self, directory: Path | str, uid: str) -> None:
        self.damage = ""
        self._directory, self._uid = directory, uid
        self._read: dict[Path, int] = {}  # bytes of each file
        self._seen: set[tuple[str, str]] = set()

    def read(self) -> list[Document]:
        """Return the documents that were written since the last call.

        Raises
        ------
        JournalError
            If there is no such run.
        """
        return [document for folder in parts(self._directory, self._uid) for document in self._read_folder(folder)]

    def _read_folder(self, folder: Path) -> list[Document]:
        begin = self._read.get(folder, 0)
        with open_lines(folder) as file:
            if os.fstat(file.fileno()).st_size <= begin:
                return []
            file.seek(begin)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._read[folder] = begin + len(whole)
        documents = []
        for line in split_lines(folder, whole).lines:
            try:
                document = self._parse(folder, line)
            except (ValueError, RecursionError) as error:
                self.damage = self.damage or f"{error}; curio recover {self._uid} rescues what is whole"
                continue
            if document is not None:
                documents.append(document)
        return documents

    def _parse(self, folder: Path, line: Line) -> Document | None:
        if not line.body:
            raise JournalError(f"a line of {folder} is damaged: {line.damage}")
        name, raw = line.parse()
        if name == "event" and isinstance(raw.get("data"), dict) and not TAGS & raw["data"].keys():
            doc = {**raw, "data": {key: _decoded(folder, value) for key, value in raw["data"].items()}}
        else:
            doc = decode(raw, Arrays(folder).load)
        identity = (name, str(doc.get("uid", doc.get("datum_id"))))
        if identity in self._seen:  # two folders have it, because uniting them broke off
            return None
        self._seen.add(identity)
        return name, doc


def _decoded(folder: Path, value: Any) -> Any:
    """Return a value of an event; most are plain numbers, and a run has 100 000s of them."""
    if isinstance(value, dict | list):
        return decode(value, lambda reference: Stored.of(folder, reference))
    return value
