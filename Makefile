# Everything here sets itself up: the virtual environment in .venv, made from setup.cfg, is the only thing that is installed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# As installed, modules have their bytecode beside them: the tests start hundreds of agents, and figures are of such ones.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-deb test-container test-chart faults fuzz check fix bench bench-state deb dist man ci clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.ready ## the whole job on a synthetic day of CloudTrail: first sightings labelled, a restart that stays quiet
	@PYTHONPATH=tests $(BIN)/python -m demo

# Two for each core: half of the time a test waits for a peer, or for a clock.
test: $(VENV)/.ready-test ## the test suite, on all cores
	$(BIN)/python -m pytest -n $$((2 * $$(nproc))) --dist loadfile -m "not slow and not deb and not container and not chart and not dist"

test-slow: $(VENV)/.ready-test ## what is left of it: 200 random faults, bombs, and chunks of 100 MB; some minutes
	$(BIN)/python -m pytest -m slow

faults: $(VENV)/.ready-test ## 2,000 random faults around a running agent, and a table of what became of the records; FAULTS=n, SEED=n, ONLY="agent killed"
	PYTHONPATH=tests $(BIN)/python -m support.faults --faults $(or $(FAULTS),2000) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only "$(ONLY)")

check: $(VENV)/.ready-check ## lint, types, import contracts, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=plugin $(BIN)/mypy --config-file setup.cfg
	PYTHONPATH=plugin $(BIN)/lint-imports setup.cfg
	$(BIN)/codespell
	$(BIN)/hadolint packaging/container/Dockerfile

fix: $(VENV)/.ready-check ## what lint can mend by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.ready-test ## CPU per record beside a bare TCP relay, in one run
	PYTHONPATH=tests $(BIN)/python -m bench.flow

bench-state: $(VENV)/.ready-test ## what a million terms cost in the state, on disk and in time; TERMS=n
	PYTHONPATH=tests $(BIN)/python -m bench.store --terms $(or $(TERMS),1000000)

FUZZ_SECONDS ?= 60
fuzz: $(VENV)/.ready-fuzz ## every fuzz target for FUZZ_SECONDS (60) each; what breaks one is kept in build/fuzz
	@for target in acks decompression frames handshake requests shaping; do \
		echo "$$target, $(FUZZ_SECONDS) s"; \
		PYTHONPATH=tests $(BIN)/python -m fuzz $$target $(FUZZ_SECONDS) || exit 1; \
	done

dist: $(VENV)/.ready-dist ## a release's wheel, source archive and bill of materials, in dist; built twice, and compared
	sh packaging/dist.sh $(BIN) dist
	sh packaging/dist.sh $(BIN) build/dist-again
	$(BIN)/python -m pytest -m dist tests/project

man: $(VENV)/.ready ## a man page for each command, in build/man
	@rm -rf build/man
	$(BIN)/python packaging/man.py build/man

deb: $(VENV)/.made ## a Debian package for the Debian that this is, in build/deb
	@rm -f build/deb/firstseen_*.deb
	sh packaging/deb/build.sh $(BIN)/pip build/deb

test-deb: $(VENV)/.ready-test deb ## that package installed, run, upgraded, removed and purged in a Debian of its own; as root, with debootstrap
	sh tests/support/root.sh build/deb/root.tar python3,adduser
	$(BIN)/python -m pytest -m deb tests/deb

# What redis-py asks for where Python is older than 3.11.3, as Debian's may be, is fetched in any case.
test-container: $(VENV)/.ready-test ## the steps of the container's image carried out in directories, and the agent in them; as root, with debootstrap
	sh tests/support/root.sh build/container/root.tar python3-venv,python3-pip
	$(BIN)/pip wheel --quiet --disable-pip-version-check --wheel-dir build/container/wheels ".[geoip,redis,user-agent]" "setuptools>=77" "async-timeout>=4.0.3"
	rm -f build/container/wheels/firstseen-*.whl
	$(BIN)/python -m pytest -m container tests/container

test-chart: $(VENV)/.ready-chart ## the Helm chart rendered by Helm itself, and held against Kubernetes' schemas
	$(BIN)/python -m pytest -m chart tests/project

ci: ## exactly what CI runs
	bash .ci/run

clean: ## remove what was made
	rm -rf $(VENV) build dist plugin/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache tests/interop/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "firstseen needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "This Python cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.ready: $(VENV)/.made setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .[test]
	@touch $@

$(VENV)/.ready-fuzz: $(VENV)/.ready-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .[test,fuzz]
	@touch $@

$(VENV)/.ready-dist: $(VENV)/.ready-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .[test,dist]
	@touch $@

# Helm is to be had as a library in a wheel that asks for a newer Python than it needs.
$(VENV)/.ready-chart: $(VENV)/.ready-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .[test,chart]
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python helm-sdkpy==0.1.32
	@touch $@

$(VENV)/.ready-check: $(VENV)/.ready-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .[test,check]
	@touch $@
