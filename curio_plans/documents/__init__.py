"""What a run says: its start document, its streams, and the history folded from them; no bluesky, no storage."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
