# `make` alone prints what can be made. Everything runs in .venv, which `make setup` builds once and shares.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
PINNED := $(VENV)/.pinned
STAMP := $(VENV)/.set-up
SOAK := $(addprefix tests/,simulation unit/roles/test_process_seeds.py $(addprefix integration/test_,breaking_load.py breaking_frames.py chaos.py kill_everything.py power_cut.py promises_memory.py promises_restarts.py promises_timers.py))
PINS := requirements/build.txt requirements/base.txt requirements/dev.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo test soak check lock clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*##  *\(.*\)/  make \1@\2/p' Makefile | awk -F@ '{ printf "%-14s %s\n", $$1, $$2 }'

setup: $(STAMP)  ## build .venv from the pinned requirements, once

# Build tools come first, so that nothing is fetched that is not pinned.
$(PINNED): $(PINS)
	@rm -rf "$(VENV)"
	@echo "setting up $(VENV) (about a minute, once)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "ohmesh needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Say which: make PYTHON=python3.12")'
	@$(PYTHON) -m venv "$(VENV)"
	@$(PIP) install --no-compile --require-hashes -r requirements/build.txt
	@$(PIP) install --no-compile --require-hashes --no-build-isolation -r requirements/dev.txt
	@$(BIN)/python -m compileall -q -j 0 "$(VENV)/lib" >/dev/null || true
	@touch "$(PINNED)"

# The checkout itself, again whenever its metadata changed.
$(STAMP): pyproject.toml $(PINNED)
	@$(PIP) install --no-compile --no-deps --no-build-isolation --editable .
	@touch "$(STAMP)"

# Byte code is written here and not by the interpreter, so start-up is quick where PYTHONDONTWRITEBYTECODE is set too.
.PHONY: bytecode
bytecode: $(STAMP)
	@$(BIN)/python -m compileall -q src

demo: bytecode  ## start a mesh, do real work, kill a worker, count what was lost
	@$(BIN)/ohmesh demo

test: bytecode  ## run every test, but those of the tree itself, which are in make check
	@$(BIN)/python -m pytest -n 2 --dist worksteal --ignore tests/architecture

soak: bytecode  ## the long tests: full load, chaos, power cuts, 2,000 seeds; a quarter of an hour
	@OHMESH_SOAK=1 OHMESH_SEEDS=2000 $(BIN)/python -m pytest -n 2 --dist worksteal -rP --timeout 900 $(SOAK)

check: lint types layers dependencies tidy  ## ruff, mypy, import layers, dependencies, tidiness

.PHONY: lint types layers dependencies tidy
lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP)
	@$(BIN)/python -m mypy src tests $(wildcard benchmarks examples) requirements

layers: $(STAMP)
	@$(BIN)/lint-imports --no-logo

dependencies: $(STAMP)
	@$(BIN)/deptry src

tidy: $(STAMP)
	@$(BIN)/python -m pytest -q tests/architecture

lock: setup  ## resolve the dependencies anew and pin them with their hashes
	@$(BIN)/python requirements/lock.py

clean:  ## remove .venv, caches and byte code
	@rm -rf "$(VENV)" .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
