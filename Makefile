# Two commands for everyone: `make demo` and `make test`. Each sets up .venv by itself.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check bench laws figures setup clean
setup: $(STAMP)

# torch first and pinned: a range could fetch gigabytes of GPU libraries.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "parfocal needs Python >= 3.11; run: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps waveorder
	# bioimageio.core asks for a release of its spec that fails with pydantic 2.14.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps bioimageio.core xarray
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/parfocal demo

test: $(STAMP) check
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -q

# Before every commit: style, walls, types.
check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	$(BIN)/mypy

# No search leaves its limits, whatever fails: ten times the cases of the suite (minutes).
laws: $(STAMP)
	PARFOCAL_LAWS=10 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -q tests/laws/test_drive_limits.py tests/laws/test_gate.py

bench: $(STAMP)
	$(BIN)/python -m benchmarks

# The pictures of the specimens in docs/explanations/specimens.md.
figures: $(STAMP)
	$(BIN)/python -m benchmarks.contact_sheets

clean:
	rm -rf $(VENV) out
