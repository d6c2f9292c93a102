"""The RunEngine, its persistent metadata, the storage of runs, and what is shown while they run.

curio.toml, the file that CURIO_SETTINGS names, or environment variables choose instrument and storage;
curio_plans/session/settings.py lists all settings. The queueserver executes these files too, with or without IPython.
"""

from multiprocessing.util import Finalize  # at exit, like atexit, but also in the queueserver's worker

from bluesky.callbacks.best_effort import BestEffortCallback
from bluesky.preprocessors import SupplementalData
from IPython import get_ipython

from curio_plans import Storage
from curio_plans.documents import normalise
from curio_plans.session import (
    Broadcast,
    OrderlyEngine,
    PersistentMetadata,
    SessionView,
    both,
    leave_in_order,
    load_settings,
    open_log,
    open_page,
    open_plots,
    publish,
)
from ophyd_devices.envelope import Envelope
from ophyd_devices.registry import check_backend

settings = load_settings(check_backend, Envelope.model_validate)  # mistakes are refused before anything connects
if settings.log:
    open_log(settings.log.file, settings.log.level, json_lines=settings.log.json_lines)
data = settings.data.expanduser().resolve()
tiled = settings.tiled

no_plots = open_plots(get_ipython())
metadata = PersistentMetadata(data / "metadata.db")
RE = OrderlyEngine(metadata, scan_id_source=metadata.next_scan_id, md_normalizer=normalise)
Finalize(None, metadata.flush, exitpriority=0)

storage = Storage.remote(tiled.uri, tiled.api_key, data) if tiled else Storage.local(data)
storage.attach(RE)
Finalize(None, storage.close, exitpriority=0)
catalog = storage.catalog
if settings.publish:
    publish(RE, settings.publish.zmq, settings.publish.prefix)
if settings.page:
    page = open_page(data, settings.page.host, settings.page.port, browser=settings.page.browser)
    Finalize(None, page.close, exitpriority=0)

bec = BestEffortCallback()
if no_plots:
    bec.disable_plots()
view = SessionView(bec, storage.resumable)
RE.subscribe(view)
RE.subscribe(bec)
broadcast = Broadcast(data)
RE.subscribe(broadcast)
RE.msg_hook = both(view.message, broadcast.message)
RE.waiting_hook = both(view.waiting, broadcast.waiting)
RE.state_hook = view.state

sd = SupplementalData()
RE.preprocessors.append(sd)

if hasattr(get_ipython(), "register_magics"):  # in the queueserver there is no shell, or a stand-in
    from bluesky.magics import BlueskyMagics

    get_ipython().register_magics(BlueskyMagics)
    leave_in_order(RE)
