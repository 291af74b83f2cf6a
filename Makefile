# Two commands matter: `make demo` and `make test`. Both make their own environment in .venv.
PYTHON ?= python3
VENV   := .venv
STAMP  := $(VENV)/.installed
RUN    := $(VENV)/bin
JOBS   ?= 2
DEMO   ?= sim_build/demo
export TERNFORGE_CACHE ?= $(CURDIR)/sim_build/cache
export MPLCONFIGDIR ?= $(CURDIR)/sim_build/matplotlib

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-all soak lint clean tools

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(STAMP) ## explore, export, verify and synthesize one accelerator, end to end (under five minutes)
	$(RUN)/python -m ternforge.demo $(DEMO)

test: $(STAMP) ## every test, random designs in small samples (about an hour on two cores)
	$(RUN)/python -m pytest -n $(JOBS) --dist worksteal tests

test-all: $(STAMP) ## the same with all random designs and every sample (some hours)
	TERNFORGE_ALL_DESIGNS=1 $(RUN)/python -m pytest -n $(JOBS) --dist worksteal tests

test-fast: $(STAMP) ## the tests that take seconds (about seven minutes on two cores)
	$(RUN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow" tests

soak: $(STAMP) ## all 2^32 operand pairs of the FP16 and of the BF16 adder; writes docs/soak.yaml (some minutes)
	$(RUN)/python -m benchmarks.float_soak --processes $(JOBS)

lint: $(STAMP) ## style, types and the import rules alone
	$(RUN)/python -m pytest tests/test_house.py

clean: ## remove everything that was built, the environment too
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find sim_build -mindepth 1 ! -name .gitignore -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

tools: # names the first system tool that is missing, and how to get it
	@for tool in $(PYTHON) g++ make perl; do command -v $$tool >/dev/null 2>&1 || \
	  { echo "ternforge needs $$tool, and it is not on PATH (Debian, Ubuntu: apt-get install python3 python3-venv g++ make perl)" >&2; exit 2; }; done
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ternforge needs Python 3.11 or newer, not $$($(PYTHON) -V); name another one with make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "ternforge needs Python's venv module (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 2; }

$(STAMP): pyproject.toml constraints.txt | tools
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(RUN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@
