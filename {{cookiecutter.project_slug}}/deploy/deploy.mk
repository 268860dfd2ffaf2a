# From a checkout to production. .github/workflows/deploy.yml calls these targets, and so can any other
# system. REGISTRY ends with a slash, TAG is the commit's by default.

NAME := {{ cookiecutter.project_slug }}
REGISTRY ?=
TAG := $(or $(TAG),$(shell git describe --always --dirty 2>/dev/null),uncommitted)
export REGISTRY TAG
IMAGES := $(foreach unit,service model,$(REGISTRY)$(NAME)-$(unit):$(TAG))

.PHONY: compose-up compose-down images scan push sign deploy rules

COMPOSE ?= $(shell for each in "docker compose" podman-compose "podman compose"; do \
  $$each version >/dev/null 2>&1 && echo $$each && break; done)

compose-up: deploy/secrets service/.venv/ready model/.venv/ready ## [MONITORING=1]: the pair and PostgreSQL in containers, and the first {{ cookiecutter.entity.replace('_', ' ') }}
	@test -e artifacts/log.jsonl || $(MAKE) --no-print-directory train
	@$(MAKE) --no-print-directory images
	@$(COMPOSE) --file deploy/compose.yaml $(if $(MONITORING),--profile monitoring) up --detach
	@service/.venv/bin/python dev/first.py http://127.0.0.1:$${PORT:-8000} deploy/secrets/api_key
	@$(if $(MONITORING),echo "Prometheus: http://127.0.0.1:$${PROMETHEUS_PORT:-9090}  Grafana: http://127.0.0.1:$${GRAFANA_PORT:-3000}/dashboards")

compose-down: ## stop them; their data stays
	@$(COMPOSE) --file deploy/compose.yaml --profile monitoring down

images: model/.venv/ready .venv/ready ## [EXTRAS=1] [TRAIN=1]: build both images, the model's with its current version; with TRAIN it can train
	@model/.venv/bin/python deploy/images/images.py build

scan: audit ## [GRYPE=grype]: known vulnerabilities of what both images hold
	@for image in $(IMAGES); do $(or $(GRYPE),grype) --fail-on high --only-fixed "$$image" || exit 1; done

push: ## REGISTRY=registry.example.org/team/: push both images, note their digests in build/release.env
	@$(PYTHON) deploy/images/images.py push

sign: ## sign what was pushed, and the lists of what it holds, with cosign
	@for unit in service model; do \
	  image=$$(sed -n "s/^$$unit=//Ip" build/release.env) && \
	  cosign sign --yes "$$image" && \
	  cosign attest --yes --type cyclonedx --predicate "build/$(NAME)-$$unit.cdx.json" "$$image" \
	  || exit 1; done

deploy: ## SERVICE=image@digest MODEL=image@digest [OVERLAY=overlays/separate]: to Kubernetes
	@SERVICE="$(SERVICE)" MODEL="$(MODEL)" OVERLAY="$(OVERLAY)" $(PYTHON) deploy/kubernetes/deploy.py

rules: ## check the alert rules, and when they fire
	@if command -v promtool >/dev/null; then cd deploy/monitoring && \
	  { out=$$({ promtool check config prometheus.yml && promtool test rules rules_test.yml; } 2>&1) || \
	    { echo "$$out"; exit 1; }; }; \
	else echo "ALERT RULES NOT CHECKED: promtool is not installed; it is in the package prometheus" && test -z "$$CI"; fi

# For compose. Who may not pass this folder reads none of them; the containers' user reads its own.
deploy/secrets: | service/.venv/ready
	@rm -rf $@.new && mkdir -m 700 $@.new && cd $@.new && \
	  password=$(RANDOM) && echo "$$password" > database_password && \
	  echo "postgresql://service:$$password@database/service" > database_url && \
	  echo $(RANDOM) > model_tokens && \
	  ../../service/.venv/bin/service key compose 2>/dev/null > keys && \
	  head -n 1 keys > api_key && tail -n 1 keys > api_keys && rm keys && \
	  chmod 644 * && cd .. && mv secrets.new secrets
RANDOM = $$($(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(32))')
