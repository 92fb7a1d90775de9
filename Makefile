# The only commands to remember; `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

MANIFESTS := pyproject.toml $(wildcard plugins/*/pyproject.toml)
PROJECTS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
EDITABLE := $(foreach project,$(PROJECTS),--editable $(project))

.DELETE_ON_ERROR:
.PHONY: help demo test soak build wheels docs bench sweep lint format clean

help:
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1 \2/p' $(MAKEFILE_LIST) | \
	  while read -r target does; do printf '  make %-8s %s\n' "$$target" "$$does"; done

demo: build ## attach two containers to a bridge network, without root, and take it all back
	@$(BIN)/cnisdk try demo/10-demo.conflist --cni-path dist/bin

test: $(VENV)/ready-to-test ## run every test, linters too, in namespaces of their own
	@$(BIN)/python -m pytest -n auto

soak: $(VENV)/ready-to-test ## wear out the agent: 10,000 calls, one in ten killed; some minutes
	@CNISDK_SOAK_CALLS=10000 $(BIN)/python -m pytest -q -s tests/netns/agent/test_agent_soak.py

build: $(VENV)/ready-to-run ## make the plugins' executables: dist/bin
	@$(BIN)/cnisdk build $(PROJECTS) -o dist/bin \
	  --unpack-dir /run/cnisdk-payload --unpack-dir /var/lib/cnisdk/payload

wheels: $(VENV)/ready-to-test ## make what is published: dist/wheels, with launchers for x86_64 and aarch64
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps \
	  --wheel-dir dist/wheels . $(addprefix ./,$(PROJECTS))
	@ls dist/wheels

# The theme's makers announce a successor on stderr; that is no warning about these pages.
docs: $(VENV)/ready-to-test ## make the site of the documentation: dist/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs --quiet build --site-dir dist/site
	@echo dist/site/index.html

# A quick look draws nothing: the plot in the README is of a whole run.
bench: $(VENV)/ready-to-run ## measure us and the Go plugins in turns; QUICK=1: in a minute
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick,--plot docs/bench.svg)

sweep: $(VENV)/ready-to-test ## interrupt an ADD at everything it changes, ours and the Go plugins': minutes
	@$(BIN)/cnisdk build $(PROJECTS) -o dist/sweep/first --unpack-dir /run/cnisdk-payload
	@$(BIN)/cnisdk build $(PROJECTS) -o dist/sweep/later
	@$(BIN)/python -m tests.conformance.sweeping dist/sweep

lint: $(VENV)/ready-to-test ## check form, types and layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@for project in $(PROJECTS); do \
	  $(BIN)/mypy --cache-dir .mypy_cache/$$project $$project/tests || exit; done
	@$(BIN)/lint-imports

format: $(VENV)/ready-to-test ## put the code into its form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## remove everything that make made
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find benchmarks cnisdk plugins tests -name __pycache__ -prune -exec rm -rf {} +
	@for project in $(PROJECTS); do $(MAKE) --no-print-directory -C $$project clean || exit; done

# -- the virtual environment -----------------------------------------------------------------
# Two levels, since a demo has no use for mypy.  Each is made again when a pyproject.toml changes.

comma := ,

define INSTALL
@echo 'installing $(1) into $(VENV)'
@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(2) || { \
  echo; \
  echo 'pip could not install $(1); what it said stands above.'; \
  echo 'It needs a package index: behind a proxy set HTTPS_PROXY, for a mirror set PIP_INDEX_URL.'; \
  exit 1; } >&2
@touch $@
endef

$(VENV)/ready-to-test: $(VENV)/ready-to-run
	$(call INSTALL,the tools that test,--editable '.[test$(comma)lint$(comma)docs]')

$(VENV)/ready-to-run: $(BIN)/python $(MANIFESTS)
	$(call INSTALL,cnisdk and its plugins,--editable '.[build$(comma)new]' $(EDITABLE))

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'cnisdk needs Python 3.11 or newer; say which: make PYTHON=/usr/bin/python3'; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo '$(PYTHON) cannot make a virtual environment;' \
	    'on Debian and Ubuntu: sudo apt install python3-venv'; exit 1; } >&2
	@$(PYTHON) -m venv $(VENV)
