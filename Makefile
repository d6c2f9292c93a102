# Two commands set everything up: make demo, make test.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PROCESSES ?= $(shell $(PYTHON) -c "import os; print(min(os.cpu_count() + 1, 4))")

.PHONY: demo test check docs release install clean help
.DEFAULT_GOAL := demo

demo: $(READY)  ## An autonomous experiment on the simulated microscope.
	$(BIN)/curio run --points 100

test: export OMP_NUM_THREADS := 1
test: export OPENBLAS_NUM_THREADS := 1
test: check  ## Everything that must hold.
	$(BIN)/python -m pytest --numprocesses $(PROCESSES)  # one more than cores: tests of real instruments wait a lot

check: $(READY)  ## Style, types, import directions.
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)  ## The documentation as a site, in build/site.
	$(BIN)/sphinx-build -W --keep-going -q docs build/site
	@echo build/site/contents.html

release: $(READY)  ## Wheel and sdist in dist, checked; nothing is tagged or uploaded.
	rm -rf dist
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build twine
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*
	@echo "next: date the CHANGELOG, set the version, commit, git tag vX.Y.Z, twine upload dist/*"

install: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $(READY)

help:  ## What there is.
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile

clean:  ## Remove the virtual environment and what the tools left behind.
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
