# Everything a fresh machine needs is made here: `make study` and `make test` start from nothing
# but Python 3.11 or newer.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Two stamps: what a study needs, and the tools of who develops beside it.
STUDY  := $(VENV)/.installed-study
STAMP  := $(VENV)/.installed
DIST   := dist

# One thread per process: the processes themselves are what runs in parallel, and the results
# do not depend on how many there are.
export OMP_NUM_THREADS := 1

# The suite starts hundreds of processes: each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: study test test-fast test-slow test-browser axe coverage check format site wheel clean

study: $(STUDY)
	$(BIN)/nversion study --out studies/digits

# The report is looked at in Chromium where there is one, with axe-core where there is npm.
test: check axe
	$(BIN)/pytest -n 2

# What trains, attacks and starts little: for the minute after an edit.
test-fast: $(STAMP)
	$(BIN)/pytest -n 2 -m 'not slow and not long'

test-slow: $(STAMP)
	$(BIN)/pytest -n 2 -m slow

# The report in Chromium alone.
test-browser: $(STAMP) axe
	$(BIN)/pytest -m browser tests/report

# axe-core looks at the report for what keeps people out; without npm or a network, tests skip it.
axe: $(STAMP)
	cd $(VENV) && { test -f package/axe.min.js || ! command -v npm >/dev/null \
	    || tar -xzf "$$(npm pack --silent --fetch-retries=0 --fetch-timeout=30000 axe-core@4.10.3)" \
	    package/axe.min.js || echo 'axe-core cannot be fetched: its tests are skipped'; }

coverage: $(STAMP)
	$(BIN)/pytest -n 2 --cov --cov-report term

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_environment.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The site, in site/; a page that is left out or a link that leads nowhere is an error.
site: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# Wheel and source archive, installed where there is nothing else, and a study run from there.
wheel: $(STAMP)
	scripts/check_wheel.sh $(BIN)/python $(DIST)

$(STUDY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "nversion needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(STAMP): $(STUDY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,keras,onnx,pandas,parquet,ray]'
	touch $@

clean:
	rm -rf $(VENV) $(DIST) site .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
