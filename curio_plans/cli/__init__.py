"""The command ``curio``: here names become agents and backends, and plans meet a RunEngine.

One module for each topic; each registers its commands with the `app` of :mod:`curio_plans.cli.common`.
"""

from curio_plans.cli import export, history, instrument, measure, reports, runs
from curio_plans.cli.common import app

__all__ = ["app", "export", "history", "instrument", "measure", "reports", "runs"]
