# Servers that others wrote, on loopback, and a browser. Each is installed once per pinned version; what cannot be
# installed fails the run. INTEROP_CACHE may name a folder that several checkouts share.
INTEROP_CACHE ?= $(CURDIR)/.interop
export INTEROP_CACHE

.PHONY: interop interop-oidc-provider interop-keycloak interop-redis interop-browser

interop: interop-oidc-provider interop-keycloak interop-redis interop-browser docs
	$(PY) -m pytest tests/interop

interop-oidc-provider: .venv/.installed
	$(PY) -m tests.interop.install oidc-provider

interop-keycloak: .venv/.installed
	$(PY) -m tests.interop.install keycloak

interop-redis: .venv/.installed
	$(PY) -m tests.interop.install redis

interop-browser: .venv/.interop
	$(PY) -m tests.interop.install browser

.venv/.interop: .venv/.installed
	@$(PY) $(PIP) install --quiet --group interop
	@touch $@
