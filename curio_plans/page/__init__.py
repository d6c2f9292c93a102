"""A page in the browser that shows runs as they happen; part of the server of a data directory."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
