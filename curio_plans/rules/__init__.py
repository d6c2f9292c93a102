"""Frozen values that a run is given: when a spectrum is good, when to stop, correct the drift, escalate."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
