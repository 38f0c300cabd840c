# The few verbs. `make run` and `make test` need nothing but git, make and Python 3.11.
PYTHON ?= python3.11
BIN := .venv/bin
# Neither this setup nor the tests send anything anywhere.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# One process of tests more than there are cores, as many a test waits for a process of its own; four at
# most, for the memory. A file stays in one of them: what its tests share is made once.
WORKERS := $(shell cores=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1); echo $$((cores < 4 ? cores + 1 : 4)))
PYTEST := $(BIN)/python -m pytest -q --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: run test check lint soak up bench clean setup format help
.DEFAULT_GOAL := help

help:            ## list the verbs
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## +/\t/' | expand -t 12

setup: .venv/installed  ## create .venv and install what constraints.txt pins

.venv/installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; Convoy needs Python 3.11 (or 3.12: make PYTHON=python3.12)." >&2; exit 2; }
	@echo "Setting up .venv (about two minutes, once) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --use-pep517 --constraint constraints.txt --editable '.[dev]'
	@touch $@

run: setup       ## the whole pipeline on the embedded default
	@$(BIN)/convoy run

test: setup      ## all tests but the long ones
	@$(PYTEST) -m "not soak"

soak: setup      ## the long tests: many crashes, many at once, a team's servers (hours)
	@$(PYTEST) -m soak

check: lint      ## format, lint, types, floors, fast tests
	@$(PYTEST) -m "not slow and not soak"

lint: setup      ## the same without tests
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache | tail -n 12

format: setup    ## rewrite in the house's format
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .

up: setup        ## Prefect UI, MLflow UI and the schedule, until Ctrl-C
	@$(BIN)/convoy up

bench: setup     ## what is fast and what is not, measured (minutes)
	@$(BIN)/python -m benchmarks

clean:           ## remove the environment and caches; models and data in .convoy/ and data/ stay
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache build src/*.egg-info
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
