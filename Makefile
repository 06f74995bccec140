# grid-exporter: `make run` to try it, `make test` to check it. Everything here runs on loopback alone.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile

.DEFAULT_GOAL := help

help: ## what there is to make
	@awk '/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {split($$0, part, ":.*## "); printf "  make %-12s %s\n", part[1], part[2]}' $(MAKEFILE_LIST)

##@ Try it
run: $(VENV)/run ## start the exporter on 127.0.0.1:10058 with what this box has
	@exec $(BIN)/python -m exporter

stack: $(VENV)/run ## exporter, Prometheus, Alertmanager and Grafana with this project's files, until Ctrl-C
	@exec $(BIN)/python -m prometheus.stack

demo: $(VENV)/run ## the same on an invented box with GPUs, where things happen
	@exec $(BIN)/python -m tests.box.demo

##@ Install it
install: ## put it on this box, as a service (root): GROUPS="docker debian-tor" for what it may see; PREFIX, DESTDIR
	@$(place) install $(GROUPS)

uninstall: ## take it away again, but for its settings and what AIDE found (root)
	@$(place) uninstall

# The service's interpreter is the system's, unless PYTHON is given: one in a home is out of its sight.
place = ALERTS="$(ALERTS)" RUNBOOKS="$(RUNBOOKS)" PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" PYTHON="$(if $(filter file,$(origin PYTHON)),,$(PYTHON))" sh systemd/install.sh

##@ Check it
test: $(VENV)/dev lint ## style, types and all tests that need no root, package or daemon (under 3 minutes)
	$(PYTEST) -m "not system and not long"

test-real: $(VENV)/dev parts ## real daemons, booted systems, browsers, faults (on Debian as root it installs them by apt)
	$(PYTEST) -m "system and not long" --timeout=600 --durations=10

lint: $(VENV)/dev ## style and types alone
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

fuzz: $(VENV)/dev ## a hundred thousand hostile inputs for everything that reads, in half an hour
	$(BIN)/python -m pytest -m long --timeout=7200 tests/fuzz

soak: $(VENV)/dev parts ## ten minutes of scrapes without end, while every tool suffers every fault
	$(BIN)/python -m pytest -m long --timeout=3600 tests/faults/test_soak.py

bench: $(VENV)/dev parts ## measure it beside what people use instead, in a quarter of an hour
	$(BIN)/python -m tests.bench

##@ Publish it
deb: ## the Debian package for this release of Debian, beside the project's folder (needs debhelper)
	dpkg-buildpackage -us -uc -b

release: $(VENV)/release ## everything that is published, into dist/: wheel, Debian package, bill of materials, checksums
	@PYTHON=$(BIN)/python sh release/make.sh

test-release: $(VENV)/dev ## make a release twice: the same bytes, and a wheel that installs under every Python
	$(BIN)/python -m pytest -m long tests/release

##@ Work on it
format: $(VENV)/dev ## put the code into its one format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

generate: $(VENV)/dev ## write the dashboards, the rules and docs/metrics.md from their Python; ALERTS=FILE for settings
	$(BIN)/python -m grafana $(if $(ALERTS),--settings="$(ALERTS)")
	$(BIN)/python -m prometheus $(if $(ALERTS),--settings="$(ALERTS)")
	$(BIN)/python -m docs

parts: ## install the real programs that `make test-real` runs (Debian, root; elsewhere their tests are skipped)
	@sh tests/parts.sh

lock: ## pin every dependency again, with hashes for every platform (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		pyproject.toml --group build -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--group dashboards -o requirements-dashboards.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		pyproject.toml --group dev -o requirements-dev.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		pyproject.toml --group release -o requirements-release.lock

clean: ## remove what was made here
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/run: requirements.lock | python
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/dev: requirements-dev.lock | python
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $<
	@touch $(VENV)/run $@

$(VENV)/release: requirements-release.lock | python
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $<
	@touch $@

# One clear line where Python is too old or Debian's python3-venv is missing.
python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "grid-exporter needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "Python's venv module is missing here; on Debian: apt install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)

.PHONY: help run stack demo install uninstall test test-real lint fuzz soak bench deb release test-release format generate parts lock clean python
