"""What a stored run is asked: does it replay, why was it measured there, what would another agent have done."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
