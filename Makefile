# One obvious command a thing. Every target sets up what it needs.
PY := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup lint test demo bench campaign clean docs

help: ## what can be done
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

.venv/.done: requirements-dev.txt pyproject.toml
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

setup: .venv/.done ## make .venv with hash-pinned packages
