# `make demo` and `make test` do all their set-up themselves, with Python 3.11 or newer and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
export PYTHONDONTWRITEBYTECODE := 1
export TENANTRY_ENV ?= development

.DEFAULT_GOAL := help
.PHONY: help demo test lint format schema clients golden leaks benchmark clean

help: ## Show what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/demo.stamp ## Serve the demo (PORT=8000, DATA_DIR=.data); Ctrl-C stops it
	@exec $(BIN)/python manage.py demo

test: $(VENV)/test.stamp $(VENV)/node.stamp lint ## Everything CI runs: lint, types, contracts, checks, tests
	@echo "== deployment checks (production settings)"
	@BIN=$(BIN) sh tests/check_deploy.sh
	@echo "== OpenAPI documents and settings reference are up to date"
	@$(BIN)/python manage.py generate_openapi --check
	@$(BIN)/python manage.py settings_reference --check
	@echo "== tests"
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --cov --cov-report=term:skip-covered $(ARGS)

lint: $(VENV)/test.stamp ## Lint, types and import contracts
	@echo "== ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "== mypy"
	@$(BIN)/mypy
	@echo "== import contracts"
	@PYTHONPATH=.:platform $(BIN)/lint-imports --no-logo

format: $(VENV)/test.stamp ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

schema: $(VENV)/test.stamp ## Write the OpenAPI documents and the settings reference anew
	@$(BIN)/python manage.py generate_openapi
	@$(BIN)/python manage.py settings_reference

clients: $(VENV)/node.stamp ## Generate typed clients of both APIs, Python and TypeScript, into .clients/
	@$(BIN)/python tests/clients/build.py .clients

golden: $(VENV)/test.stamp ## Write the golden files anew; review their diff
	@UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q tests/test_matrix.py tests/test_declarations.py tests/test_escalation.py tests/test_audit.py tests/test_round_trips.py

leaks: $(VENV)/test.stamp ## The long run of the leak harness (ARGS="--pgbouncer"); a quarter of an hour
	@$(BIN)/python -m tests.leaks --requests 100000 $(ARGS)

benchmark: $(VENV)/benchmark.stamp ## How fast it is, beside the stock stack (ARGS="--quick"); most of an hour without
	@$(BIN)/python tests/benchmarks/speed.py $(ARGS)

clean: ## Remove the virtual environment and caches; the demo's data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tenantry needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@echo "== creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: requirements.txt platform/requirements-demo.txt | $(VENV)/bin/python
	@echo "== installing requirements"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r platform/requirements-demo.txt
	@touch $@

$(VENV)/test.stamp: tests/requirements.txt $(VENV)/demo.stamp
	@echo "== installing test requirements"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@

$(VENV)/benchmark.stamp: tests/benchmarks/requirements.txt $(VENV)/demo.stamp
	@echo "== installing the benchmarks' requirements"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/benchmarks/requirements.txt
	@touch $@

$(VENV)/node.stamp: tests/clients/package.json tests/clients/package-lock.json $(VENV)/test.stamp
	@echo "== installing the tests' Node packages"
	@mkdir -p $(VENV)/clients
	@cp tests/clients/package.json tests/clients/package-lock.json $(VENV)/clients
	@$(BIN)/npm ci --prefix $(VENV)/clients --no-audit --no-fund --no-update-notifier --loglevel=error >/dev/null
	@touch $@
