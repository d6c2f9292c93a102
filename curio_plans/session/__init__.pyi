from .binding import bind, limit, limits_of, name_agent
from .interrupt import Interruption, OrderlyEngine, leave_in_order
from .live import LiveView
from .persistent import PersistentMetadata
from .settings import Settings, SettingsError, load_settings
from .stored_runs import StoredRuns
from .suspenders import TipSuspender, suspenders

__all__ = [
    "Interruption",
    "LiveView",
    "OrderlyEngine",
    "PersistentMetadata",
    "Settings",
    "SettingsError",
    "StoredRuns",
    "TipSuspender",
    "bind",
    "leave_in_order",
    "limit",
    "limits_of",
    "load_settings",
    "name_agent",
    "suspenders",
]
