# One way to run each thing. Every target sets up what it needs, in .venv, with any Python from 3.10 on.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SCENARIO ?= relax

$(STAMP): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not installed; Python 3.10 or later is needed" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "make: $(PYTHON) is older than 3.10; say make PYTHON=python3.12" >&2; exit 1; }
	@echo "setting up $(VENV)"
	@if command -v uv >/dev/null; then \
	  uv venv -q --allow-existing --python $(PYTHON) $(VENV) && uv pip install -q --python $(BIN)/python -e . --group dev; \
	else \
	  $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install -q --upgrade 'pip>=25.1' && $(BIN)/python -m pip install -q -e . --group dev; \
	fi
	@touch $@

.PHONY: help demo stack test tools check generate dashboards preview bench simulate format compat clean
help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: $(STAMP) ## watch the model mix of three surfaces shift (SCENARIO=relax|pool-swap|new-model|steady)
	@PYTHONPATH=examples $(BIN)/python -m demo --scenario $(SCENARIO) $(ARGS)

stack: $(STAMP) tools ## the demo with a Collector, Prometheus and Alertmanager; ARGS=--check ends once all is seen to work
	@PYTHONPATH=deploy $(BIN)/python -m stack $(ARGS)

test: $(STAMP) tools ## run the tests
	@$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

tools: ## build Prometheus, Alertmanager and VictoriaMetrics, which tests run, where there is Go (some minutes, once)
	@if command -v go >/dev/null; then tools/build.sh; else \
	  echo "make: Go is not installed; the tests that run Prometheus, Alertmanager and VictoriaMetrics are skipped" >&2; fi

bench: $(STAMP) tools ## measure what the rules of 1,000 surfaces cost a Prometheus (some minutes)
	@PYTHONPATH=tests/alerting $(BIN)/python benchmarks/rule_cost.py $(ARGS)

check: $(STAMP) ## formatting, lint, types, who may import whom
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

generate: $(STAMP) ## write the rules of examples/policy to collector/rules, the Collector's configurations, and grafana
	@$(BIN)/otel-llm-routing generate prometheus --policy examples/policy/policy.yaml \
	  --reference examples/policy/reference.yaml --kubernetes -o collector/rules $(ARGS)
	@$(BIN)/otel-llm-routing generate prometheus --generic -o collector/rules $(ARGS)
	@$(BIN)/otel-llm-routing generate alertmanager --policy examples/policy/policy.yaml -o collector/rules $(ARGS)
	@$(BIN)/otel-llm-routing generate prometheus --policy deploy/policy/policy.yaml \
	  --reference deploy/policy/reference.yaml -o deploy/rules $(ARGS)
	@$(BIN)/otel-llm-routing generate alertmanager --policy deploy/policy/policy.yaml -o deploy/rules $(ARGS)
	@$(BIN)/otel-llm-routing generate grafana -o grafana --policy examples/policy/policy.yaml \
	  --reference examples/policy/reference.yaml --rules ../collector/rules/llm-routing.rules.yaml $(ARGS)
	@$(BIN)/otel-llm-routing generate collector --policy examples/policy/policy.yaml -o collector $(ARGS)

dashboards: $(STAMP) ## make the Grafana dashboards from tools/dashboards (Python 3.11 or later)
	@PYTHONPATH=tools $(BIN)/python -m dashboards
	@$(BIN)/otel-llm-routing generate grafana -o grafana --policy examples/policy/policy.yaml \
	  --reference examples/policy/reference.yaml --rules ../collector/rules/llm-routing.rules.yaml

preview: $(STAMP) tools ## draw the dashboards into docs/images, from a Prometheus with a simulated month
	@PYTHONPATH=tests/alerting:tests/dashboards $(BIN)/python tests/dashboards/preview.py $(ARGS)

simulate: $(STAMP) ## measure false alarms and delays of the alerts, and write them into docs/detection.md
	@PYTHONPATH=benchmarks $(BIN)/python -m simulator --write docs/detection.md $(ARGS)

format: $(STAMP) ## format, and mend what lint can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

compat: $(STAMP) ## every SDK in its oldest and newest versions, and docs/compatibility.md of it; SESSIONS="newest peers" for some
	@$(BIN)/nox $(if $(SESSIONS),-s $(SESSIONS),-s lowest sdk peers python commands page)

clean: ## remove what the targets made
	rm -rf $(VENV) .nox .pytest_cache .mypy_cache .ruff_cache .import_linter_cache dist
