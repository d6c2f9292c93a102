"""Documents of a small run, kept in a journal, and compared."""

import numpy as np

from curio_plans.store.journal import Journal


def same(one, other):
    """Equal in value and in type, all the way down; any mapping will do for a dict."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, np.ndarray):
        if one.dtype == object:
            return one.shape == other.shape and same(one.ravel().tolist(), other.ravel().tolist())
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return one == other or (one != one and other != other)


def run_documents(uid, values, stream="primary"):
    keys = {key: {"source": "test", "dtype": "number", "shape": []} for key in values}
    return [
        ("start", {"uid": uid, "time": 1.0}),
        ("descriptor", {"uid": f"{uid}-d", "run_start": uid, "time": 2.0, "name": stream, "data_keys": keys}),
        ("event", {"uid": f"{uid}-e", "descriptor": f"{uid}-d", "time": 3.0, "seq_num": 1, "data": values}),
        ("stop", {"uid": f"{uid}-s", "run_start": uid, "time": 4.0, "exit_status": "success"}),
    ]


def keep(directory, documents):
    journal = Journal(directory)
    for name, doc in documents:
        journal(name, doc)
    journal.close()


def lines_of(directory, uid):
    return directory / "journal" / uid / "documents.jsonl"
