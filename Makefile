# Everything runs in a virtual environment of the project's own, with the exact tested versions.
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)

BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup test test-runtimes test-heavy lint demo bench runtimes-matrix docs clean

help:  ## Say what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /: /' | column -t -s:

setup: $(INSTALLED)  ## Make the virtual environment and install everything into it

# torch by itself and first: a CPU build that pip's configuration offers then wins over a larger one.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "legoexport needs Python 3.11 or later; name one: make setup PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)" -c constraints.txt
	$(BIN)/python -m pip install --quiet -e '.[dev]' -c constraints.txt
	@touch $@

# pytest-xdist already keeps every core busy; a torch thread pool in each worker would only contend.
test: setup  ## Run the quick tests; the others have targets of their own
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not heavy and not runtimes" -n auto

test-runtimes: setup  ## Run the tests on the kernels of phones and browsers; they need Node.js
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m runtimes -n auto

test-heavy: setup  ## Run the tests of whole networks at full size
	$(BIN)/python -m pytest -m heavy -n 2

lint: setup  ## Check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy runtime_tests

demo: setup  ## Train, convert, verify and benchmark a small LegoNet; results in demo/
	$(BIN)/python -m legoexport.demo

# Minutes of a full run; PARTS names some of: networks peers layers curves.
BUDGET ?= 40
PARTS ?=

bench: setup  ## Measure whole networks beside other runtimes, and write docs/benchmarks.md
	$(BIN)/python -m pip install --quiet -e '.[bench]' -c constraints.txt
	$(BIN)/python -m benchmarks --budget $(BUDGET) $(PARTS) $(BENCH_OPTIONS)

# RUNTIMES, for example cpu or arm64:max, takes those alone; what is recorded is not taken again.
RUNTIMES ?=

runtimes-matrix: setup  ## Check every lowering on every runtime, and write docs/runtimes.md
	$(BIN)/python -m benchmarks.runtimes_matrix $(addprefix --runtime ,$(RUNTIMES))

docs: setup  ## Build the documentation into build/site; warnings are errors
	$(BIN)/python -m pip install --quiet -e '.[docs]' -c constraints.txt
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

clean:  ## Remove what the other targets made
	rm -rf $(VENV) demo build dist *.egg-info .coverage
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
