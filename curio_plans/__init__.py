"""How a run proceeds, is kept and is read: Bluesky plans for a microscope that follows its curiosity.

What most people need can be imported from here, and is loaded when it is used::

    from curio_plans import Storage, curiosity

The rest lives in rooms, from the ground up: ``documents`` (what a run says), ``rules`` (the values that a run is
given), ``run`` (how it proceeds), ``store`` (where it is kept), ``study`` (what a stored run is asked), ``report`` and
``export`` (figures and files), ``session`` (what a session is made of), ``cli`` (the command ``curio``). Each room
says what it offers; ``plans`` has the complete runs, ``adaptive`` lets an agent drive the plans of bluesky-adaptive.
"""

from importlib.util import find_spec
from pathlib import Path

import lazy_loader


def _require_our_agents() -> None:
    """Refuse another package of the name ``agents`` that Python finds before ours: nothing would work with it."""
    found = find_spec("agents")
    if found is not None and (not found.origin or not Path(found.origin).with_name("protocols.py").exists()):
        where = found.origin or ", ".join(found.submodule_search_locations or ())
        raise ImportError(
            f"expected the package 'agents' of curio, got {where}, which Python finds before it; rename or "
            "uninstall that one, or start in another directory"
        )


_require_our_agents()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
