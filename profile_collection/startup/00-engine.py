"""The RunEngine, its lasting metadata, where runs are kept, and what is shown of them.

CURIO_DATA           directory of runs and metadata; ./curio-data
CURIO_TILED_URI      a Tiled server to write to, instead of a catalog in that directory
CURIO_TILED_API_KEY  its key

The queueserver executes these files too, with or without IPython.
"""

import os
from multiprocessing.util import Finalize  # at exit, like atexit, but also in the queueserver's worker
from pathlib import Path

import matplotlib
from bluesky import RunEngine
from bluesky.callbacks.best_effort import BestEffortCallback
from bluesky.preprocessors import SupplementalData
from bluesky.utils import ProgressBarManager
from IPython import get_ipython
from matplotlib.backends import BackendFilter, backend_registry

from curio_plans.metadata import normalise
from curio_plans.persistent import PersistentMetadata
from curio_plans.storage import Storage

data = Path(os.environ.get("CURIO_DATA") or "curio-data").expanduser().resolve()
tiled_uri = os.environ.get("CURIO_TILED_URI")

metadata = PersistentMetadata(data / "metadata.db")
RE = RunEngine(metadata, scan_id_source=metadata.next_scan_id, md_normalizer=normalise)
Finalize(None, metadata.flush, exitpriority=0)

storage = Storage.remote(tiled_uri, os.environ.get("CURIO_TILED_API_KEY"), data) if tiled_uri else Storage.local(data)
storage.attach(RE)
Finalize(None, storage.close, exitpriority=0)
catalog = storage.catalog

bec = BestEffortCallback()
if matplotlib.get_backend().lower() not in backend_registry.list_builtin(BackendFilter.INTERACTIVE):
    bec.disable_plots()
RE.subscribe(bec)
RE.waiting_hook = ProgressBarManager()

sd = SupplementalData()
RE.preprocessors.append(sd)

if hasattr(get_ipython(), "register_magics"):  # the queueserver has none, or an object that stands for it
    from bluesky.magics import BlueskyMagics

    get_ipython().register_magics(BlueskyMagics)
