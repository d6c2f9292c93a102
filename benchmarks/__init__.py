"""What the project claims, measured: each module is a command, ``python -m benchmarks.NAME --help``."""
