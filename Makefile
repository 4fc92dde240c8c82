# Everything a fresh machine needs is made here: `make study` and `make test` start from nothing
# but Python 3.11 or newer.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# One thread per process: the processes themselves are what runs in parallel, and the results
# do not depend on how many there are.
export OMP_NUM_THREADS := 1

.PHONY: study test test-fast test-slow coverage check format clean

study: $(STAMP)
	$(BIN)/nversion study --out studies/digits

test: check
	$(BIN)/pytest -n 2

# What trains, attacks and starts little: for the minute after an edit.
test-fast: $(STAMP)
	$(BIN)/pytest -n 2 -m 'not slow and not long'

test-slow: $(STAMP)
	$(BIN)/pytest -n 2 -m slow

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

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "nversion needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,keras,onnx,pandas,parquet,ray]'
	touch $@

clean:
	rm -rf $(VENV) .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
