from .client import RemoteAgent, connect
from .folds import Folds
from .server import make_app, serve

__all__ = ["Folds", "RemoteAgent", "connect", "make_app", "serve"]
