# The documentation as a site, built in a virtual environment of its own; needs no network once that is installed.
DOCS := .venv-docs

.PHONY: docs

docs: $(DOCS)/.installed ## build the documentation into site/; a dead link, a dead anchor or a warning fails
	@rm -rf site
	@log=$$($(DOCS)/bin/zensical build --strict --clean 2>&1); status=$$?; echo "$$log"; \
	case "$$log" in *griffe:*|*mkdocstrings:*|*autorefs:*) status=1;; esac; exit $$status

$(DOCS)/.installed: .venv/.installed
	@echo "installing into $(DOCS) ..."
	@$(PY) -m venv --clear $(DOCS)
	@$(DOCS)/bin/python $(PIP) install --quiet --upgrade 'pip>=25.1'
	@$(DOCS)/bin/python $(PIP) install --quiet --group docs
	@touch $@
