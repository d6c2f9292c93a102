"""How a run proceeds, is kept and is read: Bluesky plans for a microscope that follows its curiosity.

What most people need can be imported from here, and is loaded when it is used::

    from curio_plans import Storage, curiosity

The rest lives in rooms, from the ground up: ``documents`` (what a run says), ``rules`` (the values that a run is
given), ``run`` (how it proceeds), ``store`` (where it is kept), ``study`` (what a stored run is asked), ``report`` and
``export`` (figures and files), ``session`` (what a session is made of), ``cli`` (the command ``curio``). Each room
says what it offers; ``plans`` has the complete runs.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
