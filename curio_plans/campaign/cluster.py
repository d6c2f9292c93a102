"""Work on a Dask cluster: each piece is tried twice, and none is dropped silently."""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

J = TypeVar("J")
R = TypeVar("R")

ATTEMPTS = 2
"""A piece of work that fails, or whose worker dies, is tried again once."""

AHEAD = 4
"""So many pieces for each thread of the cluster are handed over at a time; the scheduler never holds more."""

_LOGGERS = ("distributed", *(f"distributed.{part}" for part in ("nanny", "worker", "scheduler", "core", "client")))


@dataclass(frozen=True)
class Finished(Generic[J, R]):
    """How a piece of work ended.

    Attributes
    ----------
    job : object
        What was to be done.
    result : object or None
        What came of it; None if it failed.
    error : str
        Why it failed; empty if it did not.
    again : bool
        Whether it failed and is tried again: it ends once more.
    """

    job: J
    result: R | None = None
    error: str = ""
    again: bool = False


def finished(
    work: Callable[[J], R],
    jobs: Iterable[J],
    *,
    workers: int = 1,
    scheduler: str | None = None,
    patience: float = 20.0,
    ahead: int = AHEAD,
    ready: Callable[[Any], Any] = lambda _: None,
) -> Iterator[Finished[J, R]]:
    """Do `work` for each of the `jobs` on a cluster; yield each as it ends.

    The order of the results is any. Close the iterator to end early: what runs is cancelled.

    Parameters
    ----------
    work : callable
        A function of a module, or a :func:`functools.partial` of one: it is sent to the workers.
    jobs : iterable
        Taken as workers become free. They must be values that can be pickled.
    workers : int
        Processes of a cluster on this computer, one thread each.
    scheduler : str, optional
        Address of a running Dask scheduler, such as ``tcp://head:8786``, instead; by default that of Dask's setting
        ``scheduler-address``, if any. Its workers should have one thread.
    patience : float
        Seconds for the scheduler to answer.
    ahead : int
        How many pieces for each thread are handed over at a time.
    ready : callable
        Gets the Dask client before the work begins.

    Raises
    ------
    ValueError
        If Dask is not installed, or the scheduler does not answer.
    """
    try:
        import dask
        from distributed import Client, LocalCluster, as_completed
    except ModuleNotFoundError as error:
        raise ValueError(f"{error}; install it with pip install 'curio-plans[campaign]'") from error
    scheduler = scheduler or dask.config.get("scheduler-address", None)
    left = iter(jobs)
    submitted: dict[str, tuple[J, int]] = {}
    with ExitStack() as stack:
        # Dask would do the work of a dead worker again without a word; here, that is told.
        stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": 0}))
        stack.enter_context(_quiet())
        target: Any = scheduler
        if scheduler is None:
            target = stack.enter_context(
                LocalCluster(
                    n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
                )
            )
        try:
            client = stack.enter_context(Client(target, timeout=patience))
        except OSError as error:
            raise ValueError(
                f"the Dask scheduler at {scheduler} does not answer: {error}; start one with dask scheduler"
            ) from error
        ready(client)
        threads = max(1, sum(client.nthreads().values()))

        def submit(job: J, attempt: int = 1) -> Any:
            future = client.submit(work, job, pure=False)
            submitted[future.key] = job, attempt
            return future

        running = as_completed([submit(job) for job in itertools.islice(left, ahead * threads)])
        for future in running:
            job, attempt = submitted.pop(future.key)
            if future.status == "finished":
                yield Finished(job, future.result())
            else:
                why = _say(future.exception() if future.status == "error" else future.status)
                again = attempt < ATTEMPTS
                yield Finished(job, error=why, again=again)
                if again:
                    running.add(submit(job, attempt + 1))
            future.release()
            for following in itertools.islice(left, 1):
                running.add(submit(following))


def _say(error: Any) -> str:
    if type(error).__name__ == "KilledWorker":
        return "the process that did it has died"
    return f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's messages of workers that come and go out of the terminal; what matters is told by us."""
    before = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
