# `make` alone lists what there is. Everything sets itself up: all that a machine needs is make, and uv or Python 3.11 or later with pip.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
UV = $$(command -v uv || echo .venv/bin/uv)
COMPILE = "$(UV)" pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --python-version 3.11
# Which tests, and with what: make test TESTS=tests/unit ARGS="-k permit"
TESTS ?= tests
ARGS ?=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

# One stamp for each list of packages: nothing is done again until its list changes.
.venv/.%: requirements/%.txt requirements/uv.txt deploy/local/environment.sh
	@sh deploy/local/environment.sh $<
	@touch $@

.PHONY: setup
setup: .venv/.develop ## Make .venv with everything that check and test need

.PHONY: demo
demo: .venv/.local ## Watch referrals of several agencies become one approach for each person
	@$(PYTHON) -m deploy.local demo $(ARGS)

.PHONY: up
up: .venv/.local ## Start the database, the broker and all services, and stay until Ctrl-C
	@bin/onefriend up $(ARGS)

.PHONY: down
down: .venv/.local ## Stop what `make up` left running
	@bin/onefriend down

.PHONY: check
check: .venv/.develop ## Format, lint, types, import contracts
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m ruff check
	$(PYTHON) -m mypy
	$(PYTHON) -c "from importlinter.cli import lint_imports_command as main; main()"

.PHONY: test
test: .venv/.develop ## Every test, on a real database and broker
	$(PYTHON) -m pytest -n 2 --dist loadfile --max-worker-restart 4 $(TESTS) $(ARGS)

.PHONY: model model-small
model-small: .venv/.develop ## Model-check the contact protocol in small bounds, and every wrong variant
	$(PYTHON) -m tests.model.check --small $(ARGS)

model: .venv/.develop ## Model-check it exhaustively in the full bounds, and every wrong variant
	$(PYTHON) -m tests.model.check --full $(ARGS)

.PHONY: explore
explore: .venv/.develop ## Explore every short history of the real rules, 10,000 random ones of joined cases, and every wrong variant
	$(PYTHON) -m tests.exploration $(ARGS)
	$(PYTHON) -m tests.histories

.PHONY: faults faults-long crash-points
faults: .venv/.develop ## Ten minutes of real faults under load, checked by a witness of its own (another selection each day)
	$(PYTHON) -m tests.faults $(ARGS)

faults-long: .venv/.develop ## Every fault, alone and in pairs; goes on where it was stopped
	$(PYTHON) -m tests.faults --long $(ARGS)

crash-points: .venv/.develop ## Kill each service at each numbered point
	$(PYTHON) -m tests.faults.points $(ARGS)

.PHONY: simulate simulate-long
simulate: .venv/.develop ## Run 2,000 histories of the services on simulated time, with everything going wrong that can
	$(PYTHON) -m tests.simulation $(ARGS)

simulate-long: .venv/.develop ## Run 100,000 of them (goes on where it was stopped), and look for every planted bug
	$(PYTHON) -m tests.simulation --long $(ARGS)
	$(PYTHON) -m tests.simulation --mutants

.PHONY: proof
proof: model-small ## Small bounds of the model and of the exploration, and samples of the simulation and of real faults
	$(PYTHON) -m tests.exploration --small
	$(PYTHON) -m tests.histories --histories 5000
	$(PYTHON) -m tests.simulation --histories 500
	$(PYTHON) -m tests.faults --minutes 3

.PHONY: bench
bench: .venv/.develop ## Measure cost and speed, as ratios within one run
	$(PYTHON) -m benchmarks $(ARGS)

.PHONY: together
together: .venv/.develop ## Post the same human at once through eight agencies, 1,000 times: one person each time
	ONEFRIEND_TOGETHER=1000 $(PYTHON) -m pytest -s tests/integration/intake/test_together.py $(ARGS)

.PHONY: bench-allocation bench-succession
bench-allocation: .venv/.develop ## Measure decisions, teams and a hub's meeting (ARGS=quick: minutes less)
	$(PYTHON) -m benchmarks.allocation $(ARGS)

bench-succession: .venv/.develop ## Measure the end of 21 agencies in one night with 50,000 live cases (ARGS: another number)
	$(PYTHON) -m benchmarks.allocation.succession $(ARGS)

# An environment of its own: Splink and pandas are for training and comparing, never for a service.
.venv-identity/.identity: requirements/identity.txt .venv/.develop
	@"$(UV)" venv --quiet --allow-existing --python .venv/bin/python .venv-identity
	@"$(UV)" pip install --quiet --python .venv-identity/bin/python --require-hashes -r requirements/identity.txt
	@touch $@

.PHONY: train-identity
train-identity: .venv-identity/.identity ## Train the identity model's weights with Splink, from labelled people
	.venv-identity/bin/python -W ignore -m benchmarks.identity.train $(ARGS)

.PHONY: bench-identity
bench-identity: .venv-identity/.identity ## Measure who-is-who on people the model has not seen, beside other rules and Splink
	.venv-identity/bin/python -W ignore -m benchmarks.identity $(ARGS)

.venv-splink4/.identity: requirements/splink4.txt .venv/.develop
	@"$(UV)" venv --quiet --allow-existing --python .venv/bin/python .venv-splink4
	@"$(UV)" pip install --quiet --python .venv-splink4/bin/python --require-hashes -r requirements/splink4.txt
	@touch $@

.PHONY: bench-identity-scale
bench-identity-scale: .venv-splink4/.identity ## Measure one look-up among 10,000, 100,000 and 1,000,000 people, beside Splink 4
	$(PYTHON) -m benchmarks.identity.scale $(ARGS)

.PHONY: format
format: .venv/.develop ## Format, and fix what can be fixed
	$(PYTHON) -m ruff check --fix-only
	$(PYTHON) -m ruff format

.PHONY: lock
lock: .venv/.develop ## Compile requirements/*.in again (ARGS=--upgrade for newer versions)
	@for name in uv service local develop identity splink4; do \
		echo "requirements/$$name.txt"; \
		$(COMPILE) $(ARGS) "requirements/$$name.in" -o "requirements/$$name.txt" || exit 1; \
	done

.PHONY: clean
clean: ## Remove the environment and caches (the state in .onefriend stays: `onefriend reset`)
	rm -rf .venv .venv-identity .venv-splink4 .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
