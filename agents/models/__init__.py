"""The networks. Each works on patches (n, C, h, w) scaled to −1…1 and is initialised from an explicit generator."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
