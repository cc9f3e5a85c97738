# Measured in a virtual environment of its own: the other libraries are installed for this only.
# Takes about twenty minutes; a machine with nothing else to do gives the truest figures.
BENCH := .venv-bench

.PHONY: bench

bench: $(BENCH)/.installed ## measure beside other libraries, print tables, write docs/benchmarks.md
	@$(BENCH)/bin/python -m benchmarks

$(BENCH)/.installed: .venv/.installed
	@echo "installing into $(BENCH) ..."
	@$(PY) -m venv --clear $(BENCH)
	@$(BENCH)/bin/python $(PIP) install --quiet --upgrade 'pip>=25.1'
	@$(BENCH)/bin/python $(PIP) install --quiet --editable '.[httpx2]' --group bench
	@touch $@
