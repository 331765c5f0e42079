# Everything here makes the environment it needs: python3 (3.11 or later), git and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What makes no claim about milliseconds may share the machine with another test.
TWO_AT_A_TIME := -n 2 --dist worksteal
BY_ITSELF := tests/engines/test_real_vllm.py tests/truth tests/flows/test_judged_nights.py tests/flows/test_measuring_again.py
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help nightly rehearse test test-engines test-unit test-faults test-damage test-up test-browser canaries fidelity generated lint up clean

help:             ## this list
	@grep -hE '^[a-z-]+: .*##|^[a-z-]+:  +##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

# Installed aside of the stamp, so that an interrupted install is done again.
$(VENV)/.installed: pyproject.toml infra/build_native.py $(wildcard src/nightbench/load/native/*.[ch])
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing nightbench into $(VENV) (about a minute) …"
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed pyproject.toml
	@echo "installing the development tools …"
	@$(PIP) -e '.[dev]'
	@touch $@

nightly: $(VENV)/.installed  ## a real night: vLLM, a real model, accuracy, load, DuckDB, SwanLab
	@$(BIN)/nightbench run

up: $(VENV)/.installed       ## Prefect server, worker and deployments, until Ctrl-C
	@$(BIN)/nightbench up

test: $(VENV)/.installed-dev  ## all tests but the slower tiers, real vLLM included
	@$(BIN)/python -m pytest tests $(BY_ITSELF:%=--ignore=%) -m "not fault and not browser and not up and not build and not long" $(TWO_AT_A_TIME)
	@$(BIN)/python -m pytest $(BY_ITSELF) -m "not up and not fault"

test-engines: $(VENV)/.installed-dev  ## llama.cpp beside vLLM, two vLLMs, other engines' parsers; builds them first
	@$(BIN)/python -m pytest tests/engines -m build

rehearse: $(VENV)/.installed  ## every suite that ships, in miniature: vLLM for real
	@$(BIN)/nightbench rehearse deployments/suites/*.yaml

test-faults: $(VENV)/.installed-dev  ## kills whole nights and real vLLM at bad moments
	@$(BIN)/python -m pytest tests/faults -m "not long" $(TWO_AT_A_TIME)

test-damage: $(VENV)/.installed-dev  ## ingest killed 100 times, 1,000 bytes flipped, forged folders, wrong clocks, a night killed in each setting (an hour)
	@NIGHTBENCH_KILLS=100 $(BIN)/python -m pytest tests/history --ignore=tests/history/test_mirror_faults.py
	@$(BIN)/python -m tests.history.test_flipped_bytes 1000
	@$(BIN)/python -m pytest tests/faults tests/flows -m long

test-up: $(VENV)/.installed-dev  ## `nightbench up`: clicks, schedules, crashes, cancels, Postgres
	@$(BIN)/python -m pytest tests/flows -m up

test-browser: $(VENV)/.installed-dev  ## a newcomer's evening in a real browser, with a real vLLM; pictures in test-output
	@command -v chromium >/dev/null || { echo "there is no chromium: apt-get install -y chromium" >&2; exit 1; }
	@$(BIN)/python -m pytest tests/browser

test-unit: $(VENV)/.installed-dev  ## what needs no engine
	@$(BIN)/python -m pytest tests/unit tests/sql $(TWO_AT_A_TIME)

canaries: $(VENV)/.installed-dev  ## keys of every kind through every command and a night: where do they end up?
	@$(BIN)/python -m tests.security.canaries

fidelity: $(VENV)/.installed-dev  ## our load generator beside its peers, against a server that keeps the truth
	@$(BIN)/python -m tests.benchmarks.fidelity --tokenizer .nightbench/models/smollm2-135m-instruct

generated: $(VENV)/.installed-dev  ## what is made from the code: texts and SQL of metrics, sql/schema.sql, a history to upgrade from
	@$(BIN)/python -m nightbench.metric_texts
	@$(BIN)/python -m nightbench.history.duckdb_files.schema_dump
	@$(BIN)/python -m tests.sql.test_upgrades

lint: $(VENV)/.installed-dev  ## ruff, mypy, the layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/unit/test_architecture.py

clean:            ## the environment and caches; .nightbench (history, engines, models) stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
