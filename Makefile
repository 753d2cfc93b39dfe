# Two commands do everything on a fresh machine: `make demo` and `make test`.
# Needed beforehand: Python 3.11+ (with venv and pip), Node 20+ and make. No root, no Docker, no AWS account.

.DEFAULT_GOAL := help
SHELL := /bin/bash -o pipefail
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := .tools/uv/bin/uv
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/node_modules/.bin:$(CURDIR)/.tools/uv/bin:$(PATH)
# Compiled once, when it is installed: where Python may not write bytecode, each of a sandbox's many processes would
# compile all that it imports anew.
export UV_COMPILE_BYTECODE := 1
unexport PYTHONDONTWRITEBYTECODE
export JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION := 1
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20
export JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION := 1

.PHONY: help install demo test check lint types unit infra sandbox-tests browser screenshots e2e beside-e2e interruptions bench-% lock clean

help:
	@echo "make demo    the whole product on this machine: sandbox, cdk deploy, v1, v2, a bad v3 rolled back by alarm"
	@echo "make test    everything that CI runs: checks, then every tier of tests"
	@echo "make check   linters, types, import contracts"
	@echo "make clean   end the sandbox and remove what was made here"

install: $(VENV)/.installed .venv-lambda/.installed node_modules/.installed

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). Use make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -m venv .tools/uv
	@.tools/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9

$(VENV)/.installed: $(UV) requirements-dev.txt pyproject.toml
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	@$(UV) pip sync --quiet --python $(BIN)/python requirements-dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

# What the Lambda runtime brings by itself, and nothing more, so that a missing dependency shows here.
.venv-lambda/.installed: $(UV) requirements.txt
	@test -x .venv-lambda/bin/python || $(UV) venv --quiet --python $(PYTHON) .venv-lambda
	@$(UV) pip install --quiet --python .venv-lambda/bin/python --constraint requirements.txt boto3
	@touch $@

node_modules/.installed: package.json
	@command -v npm >/dev/null || { echo "Node 20 or newer with npm is needed: it runs the CDK CLI" >&2; exit 2; }
	@npm install --silent --no-progress
	@touch $@

demo: install
	@$(BIN)/python -m sandbox.demo

check: lint types

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: install
	$(BIN)/pytest -q tests/unit tests/properties -n 2

infra: install
	$(BIN)/pytest -q tests/infra -n 2

# They wait more than they compute: three at once fill two cores.
sandbox-tests: install
	$(BIN)/pytest -q tests/contract tests/sandbox -n 3 --dist loadfile

# Needs Debian's chromium and chromium-driver; without them it is skipped with its reason.
browser: install
	$(BIN)/pytest -q tests/browser

screenshots: install
	PYTHONPATH=.:lambdas $(BIN)/python -m tests.browser.screenshots

e2e: install
	$(BIN)/pytest -q tests/e2e --timeout 600

interruptions: install
	$(BIN)/pytest -q tests/demo

# What only computes runs beside the scenarios of e2e, which mostly wait, on one core: they are judged by their latency.
ONE_CORE = $(if $(shell command -v taskset),taskset --cpu-list $(shell $(BIN)/python -c 'import os; print(max(os.sched_getaffinity(0)))'))
beside-e2e: install
	nice $(ONE_CORE) $(MAKE) --no-print-directory types
	nice $(ONE_CORE) $(BIN)/pytest -q tests/unit tests/properties tests/infra

test: lint
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target sandbox-tests interruptions browser
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target e2e beside-e2e

bench-%: install
	$(BIN)/python -m bench.$*

# Pins every requirement, with all that it brings, from the *.in files.
# For the oldest patch of 3.11, which needs some packages that later ones bring along (a distribution may have it).
LOCK := $(UV) pip compile --quiet --python $(BIN)/python --python-version 3.11 --no-header --no-annotate
lock: $(UV)
	$(LOCK) requirements.in -o requirements.txt
	$(LOCK) lambdas/requirements.in -o lambdas/requirements.txt
	$(LOCK) examples/backend/requirements.in -o examples/backend/requirements.txt
	$(LOCK) requirements-dev.in -o requirements-dev.txt

clean:
	@if [ -x $(BIN)/cutover ]; then $(BIN)/cutover sandbox down || true; fi
	rm -rf .sandbox .venv .venv-lambda .tools node_modules cdk.out .pytest_cache .mypy_cache .ruff_cache .hypothesis
