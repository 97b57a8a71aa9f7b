# Everything a person runs, one target each; `make` alone prints this list.
# Needs: python >= 3.11, make, and Java 17 or 21 for the local Kafka and for Spark. npm is optional (proto lint).
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV ?= uv
BUF_VERSION := 1.75.0

# mypy, ruff and pytest keep their caches in the tree: an empty HOME is enough.
export PIP_DISABLE_PIP_VERSION_CHECK := 1

STAMP := $(VENV)/.installed

# Two lanes of tests at once (docs/testing.md); PYTEST_ARGS are added to each run of pytest.
PYTEST := $(BIN)/python -m pytest
LANES := -n 2 --dist loadgroup --no-loadscope-reorder
SHOWN := --durations=15 --durations-min=1

.PHONY: help venv lock airflow-lock airflow-env protos lint jars compiled test test-unit test-rest test-full durations \
  demo chaos bench fuzz browser clean

help: ## print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## .venv with every package of constraints.txt, checked by hash

# The stamp is written last: a killed install is done again, a finished one costs nothing.
$(STAMP): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"found Python {v[0]}.{v[1]}, expected 3.11 or newer; run: make venv PYTHON=python3.11")'
	@echo "venv: installing the pinned packages into $(VENV) (Spark alone is 450 MB; minutes the first time)" >&2
	@$(PYTHON) -m venv $(VENV)
	@if [ -t 2 ]; then quiet=; else quiet=--quiet; fi; \
	$(BIN)/python -m pip install $$quiet --require-hashes -r constraints.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $(STAMP)
	@echo "venv: ready" >&2

# A maintainer's step, after a change of pyproject.toml. Universal: one file for Python 3.11 and newer,
# Linux and macOS. It names packages, versions and hashes only, never where they came from.
lock: ## regenerate constraints.txt (needs uv; UV=path)
	env -u PIP_FIND_LINKS -u UV_FIND_LINKS $(UV) pip compile --quiet --universal --python-version 3.11 \
	  --all-extras --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-emit-package impressions-client --custom-compile-command "make lock" \
	  -o constraints.txt pyproject.toml distributions/client/pyproject.toml
	@! grep -nE '://|--(extra-)?index-url|--find-links|^-f |file:|[ =]/' constraints.txt \
	  || { echo "lock: constraints.txt names an address" >&2; exit 1; }

# Airflow's packages contradict ours, and nobody who uses Impressions needs them: a file and an
# environment of their own.
airflow-lock: ## regenerate deploy/airflow/requirements.txt (needs uv; UV=path)
	env -u PIP_FIND_LINKS -u UV_FIND_LINKS $(UV) pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make airflow-lock" \
	  -o deploy/airflow/requirements.txt deploy/airflow/requirements.in
	@! grep -nE '://|--(extra-)?index-url|--find-links|^-f |file:|[ =]/' deploy/airflow/requirements.txt \
	  || { echo "airflow-lock: requirements.txt names an address" >&2; exit 1; }

airflow-env: venv ## .venv-airflow, in which the tests run the DAG with real Airflow
	@$(BIN)/python -m tests.airflow.environment

# protoc lists its outputs by itself; --pyi gives mypy the types. A test proves that stubs are current.
protos: venv ## regenerate impressions/v1 from protos/
	@$(BIN)/python -m grpc_tools.protoc --proto_path=protos --python_out=. --pyi_out=. \
	  $$(find protos -name '*.proto' | sort)
	@$(BIN)/python -m grpc_tools.protoc --proto_path=protos --grpc_python_out=. \
	  $$(find protos -name '*_service.proto')

lint: venv ## style, types, layers, proto style
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "lint: run: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@if command -v buf >/dev/null; then buf lint; \
	elif command -v npx >/dev/null; then npx --yes @bufbuild/buf@$(BUF_VERSION) lint && echo "buf: ok"; \
	else echo "lint: protos not linted: found neither buf nor npx (install npm to lint them)"; fi

jars: venv ## download and verify the jars of Spark and Kafka, once per machine
	@$(BIN)/impressions jars --short

compiled: venv
	@$(BIN)/python -m impressions.compiled

test: lint jars compiled ## lint, then the quick tests and one slow one of each kind (12 minutes)
	@$(PYTEST) $(LANES) $(SHOWN) -m "(not slow or representative) and not alone" $(PYTEST_ARGS)

test-unit: venv compiled ## the quick tests that need neither Java nor jars (3 minutes)
	@$(PYTEST) $(LANES) --without-java -m "not (spark or kafka or slow or alone)" $(PYTEST_ARGS)

test-rest: jars compiled ## the tests that test leaves out (30 minutes)
	@$(PYTEST) $(LANES) $(SHOWN) -m "slow and not representative and not alone" $(PYTEST_ARGS)
	@$(PYTEST) $(SHOWN) -m alone $(PYTEST_ARGS)

test-full: test test-rest ## everything

durations: jars compiled ## run every test on a quiet machine, and write tests/durations.json
	@rm -f tests/durations.json
	@$(PYTEST) $(LANES) --write-durations -m "not alone"
	@$(PYTEST) --write-durations -m alone

demo: venv jars compiled ## the whole story on a generated year, or EVENTS=f.parquet MAPPING=f.toml
	@$(BIN)/impressions doctor --short
	@$(BIN)/python -m examples.demo $(if $(EVENTS),--events "$(EVENTS)") $(if $(MAPPING),--mapping "$(MAPPING)")

chaos: venv jars compiled ## break the running system: SEED=n ROUNDS=200 BROKERS=3 ONLY=fault JSON=1 EVENTS= MAPPING=
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
	  $(if $(BROKERS),--brokers $(BROKERS)) $(if $(ONLY),--only $(ONLY)) $(if $(JSON),--json) \
	  $(if $(EVENTS),--events "$(EVENTS)") $(if $(MAPPING),--mapping "$(MAPPING)")

bench: venv jars compiled ## every stage beside a peer and a limit: ONLY="stage stage", ROWS=n
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(ROWS),--rows $(ROWS))

# atheris stays out of .venv and of constraints.txt: there are wheels for Linux on x86-64 only.
fuzz: venv ## fuzz every decoder for SECONDS=60 together
	@test -d .venv-fuzz || $(BIN)/python -m pip install --quiet --no-deps --require-hashes \
	  --target .venv-fuzz -r tests/fuzz/requirements.txt
	@PYTHONPATH=.venv-fuzz $(BIN)/python -m tests.fuzz $(if $(SECONDS),$(SECONDS),60)

# playwright stays out of .venv and of constraints.txt: users do not need it. It brings no browser.
browser: venv ## what drives a browser in the tests of the console (the browser: apt-get install chromium)
	@test -d .venv-browser || $(BIN)/python -m pip install --quiet --no-deps --require-hashes \
	  --target .venv-browser -r tests/console/requirements.txt

clean: ## remove the venv, caches and local state (the jars stay, they are the machine's)
	rm -rf $(VENV) .venv-airflow .venv-fuzz .venv-browser .venv-peers build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf .impressions spark-warehouse metastore_db derby.log
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
