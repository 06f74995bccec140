# grid-exporter: `make run` to try it, `make test` to check it. Everything here runs on loopback alone.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/run ## start the exporter on 127.0.0.1:10058 with what this box has
	@exec $(BIN)/python -m exporter

lock: ## pin every dependency again, with hashes for every platform (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		pyproject.toml --group build -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		pyproject.toml --group dev -o requirements-dev.lock

$(VENV)/run: requirements.lock
	@sh tests/../systemd/environment $(PYTHON) $(VENV) requirements.lock
	@touch $@

.PHONY: help run lock
