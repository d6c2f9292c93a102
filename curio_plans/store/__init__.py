"""Where runs are kept and found again: the journal, which is the truth, and a Tiled catalog, where people read."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
