# Everything sets itself up in .venv; only Python 3.11 or newer, make and a package index are needed.
#
#   make demo     watch supervised actors stream from the bundled local provider
#   make test     the whole test suite            make check   lint, types, import arrows
#   make soak     the long runs                   make engine  real engines (large downloads, about half an hour)
#   make bench    side-by-side measurements       make mutants  breaks the code on purpose: do the tests notice?

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check soak mutants engine bench clean

help:
	@sed -n '3,6s/^#   //p' Makefile

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "nexus3 needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# The command line needs little; the tests need everything. Each stamp is made anew when the project's metadata changes.
$(VENV)/.cli: $(VENV)/.created pyproject.toml
	@echo "Installing nexus3 and its command line into $(VENV), once ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cli]'
	@touch $@

$(VENV)/.dev: $(VENV)/.created pyproject.toml
	@echo "Installing nexus3 and what its tests need into $(VENV), once: this takes some minutes ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.cli

demo: $(VENV)/.cli
	@$(BIN)/nexus3 demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not soak"

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/flake8 nexus3
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python -m pytest -q tests/house

soak: $(VENV)/.dev
	$(BIN)/python -m pytest -m soak -s

mutants: $(VENV)/.dev
	$(BIN)/python scripts/mutants.py

engine: $(VENV)/.dev
	$(BIN)/python scripts/engine.py

# Contestants run under BENCH_PYTHON: an interpreter where `pip install '.[bench]'` was done has all of them, the project's
# own has the SDKs of the tests. SETS="s1 s2" measures only those.
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.kernel
	$(BIN)/python -m benchmarks.wire.run $(if $(BENCH_PYTHON),--python $(BENCH_PYTHON)) $(SETS)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
