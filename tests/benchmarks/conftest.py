"""The modules that the tests of the benchmarks use, as fixtures: loading pandas and torch takes seconds."""

import importlib

import pytest


def module(name):
    @pytest.fixture(scope="session")
    def imported():
        return importlib.import_module(name)

    return imported


pd, stats = module("pandas"), module("scipy.stats")
latency, paper, strategies, study = (
    module(f"benchmarks.{name}") for name in ("latency", "paper", "strategies", "study")
)
runner, problems, statistics, page = (
    module(f"benchmarks.{name}") for name in ("runner", "problems", "statistics", "page")
)
own, bad, halves, past, own_study = (
    module(f"benchmarks.own.{name}") for name in ("__main__", "bad", "halves", "past", "study")
)
