# Needs Python 3.11+ and make. Uses uv when it is installed, else puts its own into .uv/.
.DEFAULT_GOAL := help
.PHONY: help demo sync test test-slow test-all lint format lock benchmark clean

PYTHON ?= python3
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .uv/bin/uv)
RUN := $(UV) run --frozen --all-extras
# Most tests wait for processes; each file stays whole, because it may share a server.
SIDE_BY_SIDE := -n 3 --dist loadfile
export UV_PYTHON_DOWNLOADS ?= never
# Two of the wheels are large: the default of 30 s is short on a slow line.
export UV_HTTP_TIMEOUT ?= 180

help: ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(UV) ## Set everything up and run a first task
	PERDURE_HOME=.perdure $(RUN) starter.py run "Create perdure.txt with the text still here."

sync: $(UV) ## Install the locked dependencies into .venv
	$(UV) sync --frozen --all-extras

test: $(UV) ## Run the tests that take seconds
	$(RUN) pytest -m "not slow" $(SIDE_BY_SIDE)

test-slow: $(UV) ## Run the tests that take minutes
	$(RUN) pytest -m slow $(SIDE_BY_SIDE)

test-all: $(UV) ## Run all tests
	$(RUN) pytest $(SIDE_BY_SIDE)

lint: $(UV) ## Check the lock file, style and types
	$(UV) lock --check
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

format: $(UV) ## Format the code and mend what ruff can mend
	$(RUN) ruff check --fix
	$(RUN) ruff format

lock: $(UV) ## Bring the locked dependencies up to date
	$(UV) lock --upgrade

benchmark: $(UV) ## Measure steps per second beside a bare workflow
	$(RUN) python benchmarks/steps.py

clean: ## Remove what make installed; .perdure, the data of your runs, stays
	rm -rf .venv .uv .mypy_cache .pytest_cache .ruff_cache .hypothesis

uv: # found on PATH

.uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is missing or older than Python 3.11. Install a newer one, or name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet uv
