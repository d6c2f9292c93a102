"""Agents that think on another machine: what goes over the wire, who serves it, who asks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
