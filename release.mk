# What a release has to pass.
LOWEST := .venv-lowest
HIGHEST := .venv-highest
UV := .venv/bin/uv
RUNNING = $(firstword $(foreach python,$(1),$(shell $(python) $(IS_USABLE) && echo $(python))))
# The newest that is here; `make highest PYTHON=python3.12` takes another one.
PYTHON ?= $(call RUNNING,python3.13 python3.12 python3.11 python3)
EVERYTHING := --requirement pyproject.toml --all-extras --group test --editable .
# Where other libraries are met: HTTP clients, locks, cryptography, JOSE, terminals.
MEETING := cli_request client_assertions encrypted_store encrypted_store_keyring errors_in_calls file_store id_tokens \
	login_codes redis_store_arguments replay replay_bodies replay_connections replay_httpx replay_mocks \
	replay_requests testing_server tls

.PHONY: dist lowest highest versions

dist: .venv/.installed ## build the last commit into dist/ and check what is published
	@rm -rf dist build
	@git clone --quiet . build/source
	$(PY) -W ignore -m build --outdir dist build/source
	cd build/source && DIST=$(CURDIR)/dist $(CURDIR)/$(PY) -m pytest tests/test_packaging.py tests/test_cli_installed.py
	@rm -rf build

lowest: $(LOWEST)/.installed ## run the tests that meet other libraries, with their lowest versions (70 s)
	$(LOWEST)/bin/python -m pytest $(MEETING:%=tests/test_%.py)

highest: .venv/.uv ## run all tests with the newest Python here, and the newest versions of everything
	@$(UV) venv --quiet --clear --python $(PYTHON) $(HIGHEST)
	@$(UV) pip install --quiet --python $(HIGHEST) $(EVERYTHING)
	$(HIGHEST)/bin/python -m pytest

versions: $(LOWEST)/.installed ## run all tests with the lowest versions and Python 3.11, then `make highest`
	$(LOWEST)/bin/python -m pytest
	$(MAKE) highest

.venv/.uv: .venv/.installed
	@$(PY) $(PIP) install --quiet --group release
	@touch $@

# uv fetches a Python 3.11 where there is none.
$(LOWEST)/.installed: .venv/.uv
	@echo "installing into $(LOWEST) ..."
	@$(UV) venv --quiet --clear --python $(or $(call RUNNING,python3.11),3.11) $(LOWEST)
	@$(UV) pip install --quiet --python $(LOWEST) --resolution lowest-direct $(EVERYTHING)
	@touch $@
