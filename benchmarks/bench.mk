# Measured in a virtual environment of its own: the other libraries are installed for this only.
# Takes over half an hour; a machine with nothing else to do gives the truest figures.
# One figure again: .venv-bench/bin/python -m benchmarks --merge FIGURE; page and plots only: ... --render
BENCH := .venv-bench

.PHONY: bench bench-programs

bench: bench-programs $(BENCH)/.installed
	@$(BENCH)/bin/python -m benchmarks

# wrk puts the proxy under load, and RedisStore needs a Redis.
bench-programs:
	@for program in wrk redis-server; do \
	  if command -v $$program >/dev/null; then continue; fi; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing $$program ..."; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $$program >/dev/null && continue; \
	  fi; \
	  echo "$$program is needed and was not found: install the package of that name" >&2; exit 1; \
	done

$(BENCH)/.installed: .venv/.installed
	@echo "installing into $(BENCH) ..."
	@$(PY) -m venv --clear $(BENCH)
	@$(BENCH)/bin/python $(PIP) install --quiet --upgrade 'pip>=25.1'
	@$(BENCH)/bin/python $(PIP) install --quiet --editable '.[httpx2,file,encrypted,redis,cli,proxy]' --group bench
	@touch $@
