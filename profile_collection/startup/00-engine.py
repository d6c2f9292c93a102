"""The RunEngine, its lasting metadata, where runs are kept, and what is shown of them.

Instrument and storage are chosen in curio.toml, in the file that CURIO_SETTINGS names, or by environment variables;
curio_plans/session/settings.py lists them. The queueserver executes these files too, with or without IPython.
"""

from multiprocessing.util import Finalize  # at exit, like atexit, but also in the queueserver's worker

import matplotlib
from bluesky import RunEngine
from bluesky.callbacks.best_effort import BestEffortCallback
from bluesky.preprocessors import SupplementalData
from bluesky.utils import ProgressBarManager
from IPython import get_ipython
from matplotlib.backends import BackendFilter, backend_registry

from curio_plans import Storage
from curio_plans.documents import normalise
from curio_plans.session import PersistentMetadata, load_settings
from ophyd_devices.envelope import Envelope
from ophyd_devices.registry import check_backend

settings = load_settings(check_backend, Envelope.model_validate)  # refused before anything is made or connects
data = settings.data.expanduser().resolve()
tiled = settings.tiled

metadata = PersistentMetadata(data / "metadata.db")
RE = RunEngine(metadata, scan_id_source=metadata.next_scan_id, md_normalizer=normalise)
Finalize(None, metadata.flush, exitpriority=0)

storage = Storage.remote(tiled.uri, tiled.api_key, data) if tiled else Storage.local(data)
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
