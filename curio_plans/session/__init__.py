"""What a session is made of: settings, lasting metadata, plans fitted to it, and what a terminal shows."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
