# From a checkout to production. The workflows call these targets, and so can any other system.

REGISTRY ?=
TAG := $(or $(TAG),$(shell git describe --always --dirty 2>/dev/null),uncommitted)
export REGISTRY TAG

COMPOSE ?= $(shell for each in "docker compose" podman-compose "podman compose"; do \
  $$each version >/dev/null 2>&1 && echo $$each && break; done)

.PHONY: images compose-up compose-down

images: model/.venv/ready .venv/ready ## [REGISTRY=registry.example.org/team/]: build both images, with the current version of the model
	@model/.venv/bin/python deploy/images/build.py

compose-up: deploy/secrets service/.venv/ready model/.venv/ready ## run the pair with PostgreSQL in containers, and place the first {{ cookiecutter.entity.replace('_', ' ') }}
	@test -e artifacts/current || $(MAKE) --no-print-directory train
	@$(MAKE) --no-print-directory images
	@$(COMPOSE) --file deploy/compose.yaml up --detach
	@service/.venv/bin/python dev/first.py http://127.0.0.1:$${PORT:-8000} deploy/secrets/api_key

compose-down: ## stop them; their data stays
	@$(COMPOSE) --file deploy/compose.yaml down

# For compose. Whoever may not pass this folder reads none of them; the containers' user reads its own.
deploy/secrets: | service/.venv/ready
	@rm -rf $@.new && mkdir -m 700 $@.new && cd $@.new && \
	  password=$(RANDOM) && echo "$$password" > database_password && \
	  echo "postgresql://service:$$password@database/service" > database_url && \
	  echo $(RANDOM) > model_tokens && \
	  ../../service/.venv/bin/service key compose 2>/dev/null > keys && \
	  head -n 1 keys > api_key && tail -n 1 keys > api_keys && rm keys && \
	  chmod 644 * && cd .. && mv secrets.new secrets
RANDOM = $$($(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(32))')
