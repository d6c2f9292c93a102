"""The page beside a run: a server in a process of its own, as long as the run takes."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from curio_plans.cli.output import console


@contextmanager
def page_beside(directory: Path, *, wanted: bool) -> Iterator[None]:
    """Serve the page of a data directory while the block runs, where that is wanted, and print its address."""
    if not wanted:
        yield
        return
    from curio_plans.session.page import PageBeside

    def tell(address: str) -> None:
        console.print(f"page: {address}", highlight=False, markup=False, soft_wrap=True)

    with closing(PageBeside(directory, tell)):
        yield
