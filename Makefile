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

.PHONY: help demo evals stack test fuzz soak tools check generate dashboards preview bench backend rulecost scale simulate format compat clean siege lock advisories sbom
help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: $(STAMP) ## watch the model mix of three surfaces shift (SCENARIO=relax|pool-swap|new-model|steady)
	@PYTHONPATH=examples $(BIN)/python -m demo --scenario $(SCENARIO) $(ARGS)

evals: $(STAMP) ## an eval that stays green while production shifts, and what otel-llm-routing evals says of it
	@PYTHONPATH=examples $(BIN)/python -m evals $(ARGS)

stack: $(STAMP) tools ## the demo with a Collector, Prometheus and Alertmanager; ARGS=--check ends once all is seen to work
	@PYTHONPATH=deploy $(BIN)/python -m stack $(ARGS)

test: $(STAMP) tools ## run the tests
	@$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

fuzz: $(STAMP) ## try many more answers and exports than the tests do: at random, and guided by coverage (SECONDS=120 of each)
	@HYPOTHESIS_PROFILE=fuzz FUZZ_EXAMPLES=$(or $(EXAMPLES),1000) $(BIN)/python -m pytest -n auto --timeout 3000 \
	  tests/faults/test_differential.py tests/fuzz $(ARGS)
	@$(BIN)/nox -s fuzz -- -max_total_time=$(or $(SECONDS),120)

soak: $(STAMP) ## thousands of streams at once, left in every way there is: nothing grows, nothing is lost (2 minutes)
	@$(BIN)/python tests/faults/soak.py $(ARGS)

tools: ## build Prometheus, Alertmanager and VictoriaMetrics, which tests run, where there is Go (some minutes, once)
	@if command -v go >/dev/null; then tools/build.sh; else \
	  echo "make: Go is not installed; the tests that run Prometheus, Alertmanager and VictoriaMetrics are skipped" >&2; fi

bench: $(STAMP) ## measure what instrumenting costs, beside the others, into docs/performance.md (20 min; ARGS=--counts: only instructions, 5 min)
	@PYTHONPATH=benchmarks $(BIN)/python -m overhead --write docs/performance.md $(ARGS)

backend: $(STAMP) tools ## measure the embedded backend beside the Collector, and the reports, into docs/performance.md (15 min)
	@PYTHONPATH=benchmarks $(BIN)/python -m backend --write docs/performance.md $(ARGS)

rulecost: $(STAMP) tools ## measure what the rules of 1,000 surfaces cost a Prometheus (some minutes)
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

scale: $(STAMP) tools ## 2,000 short-lived pods through a Collector into a store: true counts, and what they cost (10 minutes)
	@PYTHONPATH=benchmarks:tests/alerting:tests/collector:examples $(BIN)/python -m scale $(ARGS)

simulate: $(STAMP) ## measure false alarms and delays of the alerts, and write them into docs/detection.md
	@PYTHONPATH=benchmarks $(BIN)/python -m simulator --write docs/detection.md $(ARGS)

format: $(STAMP) ## format, and mend what lint can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

compat: $(STAMP) ## every SDK in its oldest and newest versions, and docs/compatibility.md of it; SESSIONS="newest peers" for some
	@$(BIN)/nox $(if $(SESSIONS),-s $(SESSIONS),-s lowest sdk peers logfire python commands page)

siege: $(STAMP) tools ## break the embedded backend for longer: a million names, 40 kills, thousands of other examples
	@NAMES=1000000 KILLS=40 FUZZ_EXAMPLES=2000 $(BIN)/python -m pytest --timeout 3600 tests/serve $(ARGS)

lock: $(STAMP) ## pin what is developed and tested with, with hashes, in requirements/dev.txt
	@mkdir -p requirements
	@{ echo '# Written by make lock, from pyproject.toml: every version that is developed and tested with, and its hashes.' && \
	  echo '-e .' | $(BIN)/uv pip compile -q --group pyproject.toml:dev --universal --python-version 3.10 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --no-emit-package otel-llm-routing $(ARGS) -; \
	} > requirements/.dev.txt && mv requirements/.dev.txt requirements/dev.txt

advisories: $(STAMP) ## ask the vulnerability database about the versions in requirements/dev.txt
	@$(BIN)/uv tool run -q pip-audit --strict --disable-pip --require-hashes -r requirements/dev.txt $(ARGS)

sbom: $(STAMP) ## write dist/sbom.cdx.json: what an installation with [all] consists of (CycloneDX)
	@rm -rf dist/sbom && mkdir -p dist && $(BIN)/uv venv -q --python $(BIN)/python dist/sbom
	@$(BIN)/uv pip install -q --python dist/sbom/bin/python -c requirements/dev.txt '.[all]'
	@$(BIN)/uv tool run -q --from 'cyclonedx-bom>=7' cyclonedx-py environment dist/sbom/bin/python \
	  --pyproject pyproject.toml --output-reproducible --of JSON -o dist/sbom.cdx.json
	@rm -rf dist/sbom

clean: ## remove what the targets made
	rm -rf $(VENV) .nox .pytest_cache .mypy_cache .ruff_cache .import_linter_cache dist
