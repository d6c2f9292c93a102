"""Callbacks that try to end the program in the middle of a run."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any


class CallbackExitError(RuntimeError):
    """A document callback tried to end the program in the middle of a run."""

    def __init__(self, error: BaseException, name: Any) -> None:
        super().__init__(f"a callback raised {type(error).__name__} at the {name.name} document; the run ends here")


def end_runs_in_order(engine: Any) -> Callable[[], None] | None:
    """Let ``sys.exit()`` in a callback fail the run, with the tip withdrawn; return what undoes this.

    Otherwise it ends the event loop of the RunEngine: the run is recorded as a success with too few points, and the
    call of the engine never returns.
    """
    emit: Callable[[Any, Mapping[str, Any]], None] | None = getattr(engine, "emit_sync", None)
    if emit is None or "emit_sync" in vars(engine):
        return None

    def emit_sync(name: Any, doc: Mapping[str, Any]) -> None:
        try:
            emit(name, doc)
        except (SystemExit, KeyboardInterrupt) as error:
            raise CallbackExitError(error, name) from error

    engine.emit_sync = emit_sync
    return partial(delattr, engine, "emit_sync")
