# make setup    create .venv and install the pinned versions; done at once when nothing changed
# make demo     install what running needs, then do the main job on a shipped local model
# make test     setup, then every check that a change must pass
# make nightly  setup, then the long profiles

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt

.PHONY: setup demo test nightly

setup: $(VENV)/ready-to-develop

demo: $(VENV)/ready-to-run
	$(BIN)/agentkit demo

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --numprocesses 2 --dist loadfile

# The tests' tensors are tiny: one thread is the fastest, and kind to a shared machine.
test nightly: export OMP_NUM_THREADS ?= 1

nightly: setup
	AGENTKIT_KILLS=1000 $(BIN)/pytest --hypothesis-profile=nightly

$(VENV)/ready-to-develop: $(VENV)/ready-to-run
	$(INSTALL) --no-build-isolation --editable ".[cpu,embed,local,mcp,plot,routing,serve]" --group dev
	@touch $@

$(VENV)/ready-to-run: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
		echo "agentkit needs Python 3.11 to 3.13, and $(PYTHON) is $$($(PYTHON) --version 2>&1);" \
		"name another: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) pip setuptools
	$(INSTALL) --no-build-isolation --editable ".[local,serve]"
	@touch $@
