"""The RunEngine, its persistent metadata, the storage of runs, and what is shown while they run.

curio.toml, the file that CURIO_SETTINGS names, or environment variables choose instrument and storage;
curio_plans/session/settings.py lists all settings. The queueserver executes these files too, with or without IPython.
"""

from multiprocessing.util import Finalize  # at exit, like atexit, but also in the queueserver's worker

import matplotlib
from bluesky.callbacks.best_effort import BestEffortCallback
from bluesky.preprocessors import SupplementalData
from bluesky.utils import ProgressBarManager
from IPython import get_ipython
from matplotlib.backends import BackendFilter, backend_registry

from curio_plans import Storage
from curio_plans.documents import normalise
from curio_plans.session import OrderlyEngine, PersistentMetadata, leave_in_order, load_settings
from ophyd_devices.envelope import Envelope
from ophyd_devices.registry import check_backend

settings = load_settings(check_backend, Envelope.model_validate)  # mistakes are refused before anything connects
data = settings.data.expanduser().resolve()
tiled = settings.tiled

metadata = PersistentMetadata(data / "metadata.db")
RE = OrderlyEngine(metadata, scan_id_source=metadata.next_scan_id, md_normalizer=normalise)
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

if hasattr(get_ipython(), "register_magics"):  # in the queueserver there is no shell, or a stand-in
    from bluesky.magics import BlueskyMagics

    get_ipython().register_magics(BlueskyMagics)
    leave_in_order(RE)
