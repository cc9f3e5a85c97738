# Measured in a virtual environment of its own: the other libraries are installed for this only.
# Takes about twenty minutes; a machine with nothing else to do gives the truest figures.
# One figure again: .venv-bench/bin/python -m benchmarks --merge FIGURE; page and plots only: ... --render
BENCH := .venv-bench

.PHONY: bench wrk

bench: wrk $(BENCH)/.installed ## measure beside other libraries, print tables, write docs/benchmarks.md
	@$(BENCH)/bin/python -m benchmarks

wrk:
	@if command -v wrk >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing wrk ..."; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y wrk >/dev/null && exit 0; \
	fi; \
	echo "wrk puts the proxy under load and was not found: install the package wrk (apt-get install wrk)" >&2; exit 1

$(BENCH)/.installed: .venv/.installed
	@echo "installing into $(BENCH) ..."
	@$(PY) -m venv --clear $(BENCH)
	@$(BENCH)/bin/python $(PIP) install --quiet --upgrade 'pip>=25.1'
	@$(BENCH)/bin/python $(PIP) install --quiet --editable '.[httpx2,cli,proxy]' --group bench
	@touch $@
