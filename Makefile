# Everything a person types in this repository. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3.11
PYTHON := $(shell command -v $(PYTHON) || command -v python3)
BIN := .venv/bin
UV_VERSION := 0.13.9
PYTEST_ARGS ?=

.PHONY: help setup demo slurm browser wandb test check format lock clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

setup: .venv/.installed  ## create .venv from requirements.lock

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "navforge needs Python 3.11 or newer; set PYTHON=..." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "uv==$(UV_VERSION)"
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	touch $@

demo: setup  ## logs -> cache -> vocabulary -> teacher -> training -> evaluation -> report, in runs/demo
	$(BIN)/navforge demo out=runs/demo

slurm:  ## install what the test Slurm cluster needs (apt-get, root; elsewhere its tests are skipped)
	@bash tests/install.sh slurm

browser:  ## install what tests of pages in a browser need (apt-get, root; elsewhere they are skipped)
	@bash tests/install.sh browser

wandb: setup  ## install W&B into .venv, so that its tests run
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.wandb.lock

test: setup slurm  ## the test suite, without the tests marked slow, which .ci/run runs too
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: setup  ## lint, types, import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python -m pytest -q tests/test_architecture.py

format: setup  ## rewrite the code in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup  ## refresh requirements.lock from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --extra dev --python-version 3.11 --no-emit-index-url --no-header -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra wandb -c requirements.lock --python-version 3.11 --no-emit-index-url --no-header -o requirements.wandb.lock

clean:  ## remove what the targets above made
	rm -rf .venv runs
