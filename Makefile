# Every daily task. `make run` and `make test` work on a fresh clone.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-test
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run test test-setup lint fmt types unit bench chaos networks check-deploy clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## virtual environment and Python packages

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "wardcast needs Python 3.11 or newer: none was found." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing Python packages into $(VENV) (once, a minute or two) ..."
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(TEST_STAMP): $(STAMP) pyproject.toml
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

run: $(STAMP) ## the whole broadcast on this machine; RELAYS=3 REDIS=auto as it is deployed; ARGS="--http-port 9000" passes flags
	@$(BIN)/wardcast demo $(if $(RELAYS),--relays $(RELAYS)) $(if $(REDIS),--redis $(REDIS)) $(ARGS)

test-setup: $(TEST_STAMP)
	@deploy/install-test-packages

test: test-setup lint types ## install what the tests need, then every check and test
	node --test tests/web/
	$(BIN)/python -m pytest $(ARGS)

unit: $(TEST_STAMP) ## the fast tests alone
	$(BIN)/python -m pytest tests/unit tests/simulation tests/architecture $(ARGS)

lint: $(TEST_STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(TEST_STAMP) ## mypy --strict
	$(BIN)/mypy

fmt: $(TEST_STAMP) ## format and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(TEST_STAMP) ## performance beside a floor and Janus; prints a table
	$(BIN)/python -m tests.bench $(ARGS)

chaos: $(TEST_STAMP) ## ten minutes of random kills with 63 viewers; ARGS="--minutes 3 --seed 5"
	$(BIN)/python -m tests.soak.chaos $(ARGS)

networks: $(TEST_STAMP) ## what people see on bad lines, as tables (root); ARGS="--only loss --loss 5,20 --minutes 1"
	@$(BIN)/python -m tests.networks $(ARGS)

check-deploy: $(TEST_STAMP) ## every file of deploy/ through the program that reads it
	@deploy/check

clean: ## forget environments, caches and demo data
	rm -rf $(VENV) var build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
