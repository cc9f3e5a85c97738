# Servers that others wrote, on loopback. Each is installed once per lock file; what cannot be installed fails the run.
# INTEROP_CACHE may name a folder that several checkouts share.
INTEROP_CACHE ?= $(CURDIR)/.interop
export INTEROP_CACHE

.PHONY: interop interop-oidc-provider

interop: .venv/.installed interop-oidc-provider
	$(PY) -m pytest tests/interop

interop-oidc-provider: .venv/.installed
	$(PY) tests/interop/oidc_provider/install.py
