# Two commands set everything up: make demo, make test.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check install clean help
.DEFAULT_GOAL := demo

demo: $(READY)  ## An autonomous experiment on the simulated microscope.
	$(BIN)/curio run --points 100

test: check  ## Everything that must hold.
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4

check: $(READY)  ## Style, types, import directions.
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

install: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $(READY)

help:  ## What there is.
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile

clean:  ## Remove the virtual environment and what the tools left behind.
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
