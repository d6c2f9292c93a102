"""How a run proceeds: the steps that plans are made of, and the agent's thinking beside them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
