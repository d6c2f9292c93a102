"""What a campaign has found so far: one part for each finished job, and one table of all."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curio_plans.campaign.campaign import Job
from curio_plans.campaign.job import Rows

FOLDER = "campaigns"


class Results:
    """The parts of a campaign in ``campaigns/NAME`` of a data directory, and the table ``campaigns/NAME.parquet``.

    Parameters
    ----------
    directory : Path
        The data directory.
    name : str
        Of the campaign.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._parts = directory / FOLDER / name
        self.table = directory / FOLDER / f"{name}.parquet"

    def done(self, jobs: Sequence[Job]) -> set[str]:
        """Return the names of the jobs that have a part."""
        names = {job.name for job in jobs}
        return {path.stem for path in self._parts.glob("*.parquet")} & names

    def keep(self, job: Job, rows: Rows) -> None:
        """Keep the rows of a finished job; a campaign that is killed leaves no part that is incomplete."""
        self._parts.mkdir(parents=True, exist_ok=True)
        _write(rows, self._part(job))

    def write(self, jobs: Sequence[Job]) -> Path:
        """Write the table of all jobs that are done, in the order of the campaign, and return its file."""
        import pyarrow as pa
        from pyarrow import parquet

        done = self.done(jobs)
        parts = [self._relabelled(job) for job in jobs if job.name in done]
        self.table.parent.mkdir(parents=True, exist_ok=True)
        part = _beside(self.table)
        parquet.write_table(pa.concat_tables(parts) if parts else pa.table({}), part)
        part.replace(self.table)
        return self.table

    def uids(self, jobs: Sequence[Job]) -> list[str]:
        """Return the runs of the jobs that are done, in the order of the campaign."""
        from pyarrow import parquet

        done = self.done(jobs)
        tables = (parquet.read_table(self._part(job), columns=["uid"]) for job in jobs if job.name in done)
        return [str(table["uid"][0]) for table in tables]

    def _part(self, job: Job) -> Path:
        return self._parts / f"{job.name}.parquet"

    def _relabelled(self, job: Job) -> Any:
        """Return the part of a job with the labels that it has now."""
        import pyarrow as pa
        from pyarrow import parquet

        table = parquet.read_table(self._part(job))
        for key, value in job.labels.items():
            index = table.schema.get_field_index(key)
            table = table.set_column(
                index, table.schema.field(index), pa.array([value] * len(table), table.schema.types[index])
            )
        return table


def _write(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    part = _beside(path)
    parquet.write_table(pa.Table.from_pylist([dict(row) for row in rows]), part)
    part.replace(path)


def _beside(path: Path) -> Path:
    return path.with_suffix(f".{os.getpid()}.part")
