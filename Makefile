# Every command works from nothing: Python 3.11 or later, make, and a package registry are all that is needed.
PY := .venv/bin/python
BARE := .venv-without-httpx2
# setuptools warns at every editable installation, and pip --quiet shows it.
PIP := -W ignore -m pip --disable-pip-version-check
IS_USABLE := -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null

.PHONY: help demo test coverage check clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.installed ## see it work: five clients, dying tokens, no failed request (under 30 s)
	@$(PY) examples/demo.py

test: .venv/.installed ## run the tests
	$(PY) -m pytest --ignore=tests/interop

coverage: .venv/.installed ## run the tests and show which lines and branches they leave out
	$(PY) -m pytest --ignore=tests/interop --cov --cov-report=term-missing

check: .venv/.installed $(BARE)/.installed ## ruff, mypy, and pyright with and without httpx2
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/pyright --pythonpath $(PY) tests/typing
	.venv/bin/pyright --pythonpath $(BARE)/bin/python tests/typing/*.py

interop: ## run the tests against servers that others wrote, and in a browser

bench: ## measure beside other libraries, print tables, write docs/benchmarks.md

include tests/interop/interop.mk
include benchmarks/bench.mk
include docs.mk
include release.mk

clean: ## remove everything that was made here
	rm -rf .venv $(BARE) $(BENCH) $(DOCS) $(LOWEST) $(HIGHEST) site .cache .interop build dist *.egg-info .coverage .coverage.* .hypothesis .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The newest Python that really runs: some machines have a python3.13 that only says it is not installed.
.venv/.installed: pyproject.toml setup.cfg
	@if $(PY) $(IS_USABLE); then exit 0; fi; \
	for python in python3.13 python3.12 python3.11 python3; do \
	  if $$python $(IS_USABLE); then \
	    echo "making .venv with $$($$python --version) ..."; \
	    exec $$python -m venv --clear .venv; \
	  fi; \
	done; \
	echo "Python 3.11 or later, with its modules venv and ensurepip, is needed and was not found" >&2; exit 1
	@echo "installing into .venv ..."
	@$(PY) $(PIP) install --quiet --upgrade 'pip>=25.1'
	@$(PY) $(PIP) install --quiet --editable '.[httpx2,file,redis,encrypted,testing,demo,cli,proxy]' --group test --group check
	@touch $@

# What a user has who installed no extra: only the required libraries.
$(BARE)/.installed: .venv/.installed
	@echo "installing into $(BARE) ..."
	@$(PY) -m venv --clear $(BARE)
	@$(BARE)/bin/python $(PIP) install --quiet --upgrade 'pip>=25.1'
	@$(BARE)/bin/python $(PIP) install --quiet --editable .
	@touch $@
