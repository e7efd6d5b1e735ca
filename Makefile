# Everything the project does for a developer, from set-up to release. Only Python 3.11 or newer (with venv) is needed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet

.DEFAULT_GOAL := help

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.runtime ## see the whole way, from a newsletter to counted clicks
	@$(BIN)/redirector demo

.PHONY: test
test: $(VENV)/.dev ## run every test, and measure branch coverage
	@$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term --cov-fail-under=95 $(ARGS)

ROUNDS ?= 100

.PHONY: chaos
chaos: $(VENV)/.dev ## kill, freeze and starve everything while readers click: make chaos ROUNDS=1000 [SEED=7]
	@$(BIN)/python -m tests.chaos --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED))

.PHONY: lint
lint: $(VENV)/.dev ## check format, style, types and the direction of imports
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

.PHONY: bench
bench: $(VENV)/.dev ## measure speed against nginx, and how it grows (some 20 minutes; wants nginx and wrk)
	@$(BIN)/python -m tests.benchmarks

.PHONY: bench-quick
bench-quick: $(VENV)/.dev ## measure the main figures of speed in under a minute
	@$(BIN)/python -m tests.benchmarks --quick

MINUTES ?= 60

.PHONY: soak
soak: $(VENV)/.dev ## half the load for an hour, and what memory and files do: make soak MINUTES=20 (wants wrk)
	@$(BIN)/python -m tests.benchmarks.soak --minutes $(MINUTES)

.PHONY: format
format: $(VENV)/.dev ## put the code into its format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: lock
lock: | $(BIN)/python ## resolve the dependencies again and write the lock files
	@$(PIP) install uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make lock" --group build pyproject.toml -o requirements/runtime.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make lock" --group build --group dev pyproject.toml -c requirements/runtime.txt -o requirements/dev.txt

.PHONY: k8s-rules
k8s-rules: $(VENV)/.dev ## write the rules of config/prometheus for the Prometheus operator
	@$(BIN)/python -m tests.ops.prometheus_rule

.PHONY: clean
clean: ## remove the virtual environment and every cache
	@rm -rf $(VENV) .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it with make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml | $(BIN)/python
	@echo "Setting up $(VENV) ..." >&2
	@$(PIP) install --require-hashes -r requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	@echo "Adding what lint and tests need ..." >&2
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@
