"""``python -m curio_plans.cli`` is the command ``curio``."""

import sys

from curio_plans.cli import app

sys.exit(app())
