# The template's own commands: `make help` lists them.

PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-menu test-pipelines test-fast lint bench menu new describe carry lock upgrade clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: .venv/ready ## stamp out the default project in build/ and run its demo, from nothing to predictions
	@rm -rf build/order-wait-times
	@.venv/bin/cookiecutter . --no-input -o build
	@$(MAKE) --no-print-directory -C build/order-wait-times UV=$(CURDIR)/.venv/bin/uv demo

test: .venv/ready-to-test .venv-clients/ready lint ## stamp out projects of every kind and run them through their own checks
	.venv/bin/pytest $(LONG:%=--ignore=%) --ignore=tests/test_pipelines.py -m "not menu"

LONG := tests/test_containers.py tests/test_recipes.py

test-long: .venv/ready-to-test ## the default project in containers, by podman and docker, and every recipe of its README
	.venv/bin/pytest $(LONG)

test-menu: .venv/ready-to-test ## the dishes that need compilers, Spark or npm, and all of them in projects of each task
	.venv/bin/pytest -m menu

test-pipelines: .venv/ready-to-test ## put eleven pipelines into stamped-out projects, each taken to a green check
	.venv/bin/pytest tests/test_pipelines.py

test-fast: .venv/ready-to-test ## the tests that stamp out but set nothing up: two minutes
	.venv/bin/pytest -m "not slow"

lint: .venv/ready-to-test ## formatting, mistakes and types of the template's own code
	.venv/bin/ruff format --check hooks stamping tests tools benchmarks
	.venv/bin/ruff check hooks stamping tests tools benchmarks
	.venv/bin/mypy stamping tests tools benchmarks --exclude 'benchmarks/peers|tests/machinery'
	.venv/bin/zizmor --offline --quiet .github

bench: .venv/ready .venv-clients/ready ## measure this beside the tools that a team would pick instead (45 minutes)
	@$(MAKE) --no-print-directory -C benchmarks bench

menu: .venv/ready ## measure every way to deploy the model in one run, and write docs/menu.md (15 minutes)
	@$(MAKE) --no-print-directory -C benchmarks menu

OUT ?= ..

new: .venv/ready ## CSV=history.csv TARGET=delay [OUT=..] [YES=1]: from your table to a trained project
	@.venv/bin/python -m stamping.new "$(CSV)" "$(TARGET)" --out "$(OUT)" $(if $(YES),--yes)

describe: .venv/ready ## CSV=history.csv TARGET=delay: print the cookiecutter command for your own history
	@.venv/bin/python -m stamping.describe "$(CSV)" "$(TARGET)"

FROM ?= build/order-wait-times

carry: .venv/ready ## FROM=build/order-wait-times: copy its changes back into the template, show what has Jinja
	@.venv/bin/python tools/carry.py "$(FROM)" $(ARGS)

lock: .venv/ready ## pin what the pyproject.toml files ask for, the stamped-out ones too; moves nothing else
	$(LOCK) --group template -o requirements.txt
	$(LOCK) --group template --group test -c requirements.txt -o requirements-test.txt
	$(LOCK) --group clients -o requirements-clients.txt
	$(LOCK) --group machinery -c "$(STAMPED)/service/requirements-dev.txt" -o requirements-machinery.txt
	rm -rf build/order-wait-times
	.venv/bin/cookiecutter . --no-input -o build __dishes="$(DISHES)"
	$(MAKE) -C build/order-wait-times UV=$(CURDIR)/.venv/bin/uv UPGRADE=$(UPGRADE) lock
	for file in requirements.txt requirements-uv.txt $(UNITS:%=%/requirements.txt) $(UNITS:%=%/requirements-dev.txt) \
	  model/requirements-serving.txt service/requirements-extras.txt; do \
	  cp build/order-wait-times/$$file "$(STAMPED)/$$file" || exit 1; done
	for dish in $(DISHES); do for file in build/order-wait-times/dishes/$$dish/requirements*.txt; do \
	  [ ! -e $$file ] || cp $$file "menu/$$dish/{{cookiecutter.dish}}/" || exit 1; done; done
	$(MAKE) -C benchmarks UPGRADE=$(UPGRADE) lock

upgrade: ## bring every requirements file up to date, the stamped-out ones too
	@$(MAKE) --no-print-directory lock UPGRADE=--upgrade

DISHES := $(notdir $(patsubst %/cookiecutter.json,%,$(wildcard menu/*/cookiecutter.json)))
UNITS := contract service model
STAMPED := {{cookiecutter.project_slug}}
LOCK = .venv/bin/uv pip compile --quiet $(UPGRADE) --universal --python-version 3.11 \
  --generate-hashes --no-header --no-annotate

clean: ## remove everything that the targets above made
	rm -rf .venv .venv-clients build

.venv/ready: requirements.txt
	@echo "setting up .venv"
	@$(PYTHON) -m venv .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

.venv/ready-to-test: requirements-test.txt .venv/ready
	@.venv/bin/uv pip install --quiet --python .venv --require-hashes -r requirements-test.txt
	@touch $@

# Clients of the Open Inference Protocol that others wrote, apart from everything else.
.venv-clients/ready: requirements-clients.txt .venv/ready
	@echo "setting up .venv-clients"
	@.venv/bin/uv venv --quiet --allow-existing --python $(PYTHON) .venv-clients
	@.venv/bin/uv pip sync --quiet --python .venv-clients --require-hashes requirements-clients.txt
	@touch $@
