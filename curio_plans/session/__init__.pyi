from .activity import Activity, Broadcast, both
from .binding import bind, default, limit, limits_of, name_agent
from .interrupt import Interruption, OrderlyEngine, leave_in_order
from .live import LiveView
from .log import close_log, open_log, publish
from .notebook import NotebookView
from .page import PageBeside, open_page
from .persistent import PersistentMetadata
from .plots import open_plots
from .profile import write_profile
from .settings import Settings, SettingsError, load_settings
from .stored_runs import StoredRuns
from .suspenders import TipSuspender, suspenders
from .view import SessionView, show_live

__all__ = [
    "Activity",
    "Broadcast",
    "Interruption",
    "LiveView",
    "NotebookView",
    "OrderlyEngine",
    "PageBeside",
    "PersistentMetadata",
    "SessionView",
    "Settings",
    "SettingsError",
    "StoredRuns",
    "TipSuspender",
    "bind",
    "both",
    "close_log",
    "default",
    "leave_in_order",
    "limit",
    "limits_of",
    "load_settings",
    "name_agent",
    "open_log",
    "open_page",
    "open_plots",
    "publish",
    "show_live",
    "suspenders",
    "write_profile",
]
