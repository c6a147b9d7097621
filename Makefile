# Everything runs in the project's own virtual environment, which makes itself: a machine with Python 3.11 and make is
# enough. PYTHON chooses the interpreter the environment is made with: `make PYTHON=python3.13 test`.

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?=
WORKERS ?= 2
EVENTS ?= 2000000
SIZE ?= full
ONLY ?=
RUNS ?= 200000

RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
SEED := ../shared/seed/run_seed.py

DEMOS := demo-fastapi demo-django demo-django-asgi demo-flask
SERVES := serve-fastapi serve-django serve-django-asgi serve-flask

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install demo serve $(DEMOS) $(SERVES) test check coverage seed verify faults mutants fuzz benchmark docs messages clean

help:  ## list what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target what; do \
		printf '%-18s %s\n' "$$target" "$$what"; done

# The stamp is younger than pyproject.toml as long as what is installed is what pyproject.toml asks for.
$(READY): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"paytechuz needs Python 3.11 or newer, and $(PYTHON) is older: make PYTHON=python3.11 ...")'
	@echo "Setting up $(VENV), which takes a minute ..."
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install -qq --upgrade pip  # the pip that comes with Python 3.11 knows no dependency groups
	@$(RUN) -m pip install -qq $(addprefix --constraint ,$(CONSTRAINTS)) \
		--editable '.[fastapi,django,flask,testing,cli,otel]' --group dev
	@touch $@

install: $(READY)  ## set up the virtual environment; every target below does so by itself

demo: demo-fastapi  ## a shop on loopback, and Payme and Click played against it over HTTP (or demo-django, demo-flask)

serve: serve-fastapi  ## leave that shop running, with curl lines to try (or serve-django, serve-flask)

$(DEMOS): demo-%: $(READY)
	@$(RUN) -m examples.demo $*

$(SERVES): serve-%: $(READY)
	@$(RUN) -m examples.serve $*

test: check coverage seed  ## checks, tests, coverage of the pure core, the seed document
	@echo "All passed."

check: $(READY)  ## ruff, mypy --strict and the import rules; runs no test
	@$(RUN) -m ruff check
	@$(RUN) -m ruff format --check
	@$(RUN) -m mypy
	@$(VENV)/bin/lint-imports --no-logo

# Counting takes half as long again, so it is left out of what decides the same few lines millions of times, and of the
# conversations over HTTP but for those that reach what nothing else does: the settings, and what `expire` does.
COUNTLESS := tests/proof tests/faults tests/fuzz tests/core/test_machines.py tests/sql/test_machines.py tests/docs \
	tests/test_demo.py tests/test_plugin.py \
	$(filter-out tests/http/test_settings.py tests/http/test_expire.py tests/http/test_flask.py,$(wildcard tests/http/test_*.py))

# Without the plugin for shops' own tests: pytest loads it, and so the core, before any line is counted.
coverage: $(READY)  ## the tests, and the lines and branches of the pure core that none of them reached
	@$(RUN) -m pytest -n $(WORKERS) --dist worksteal $(COUNTLESS)
	@$(RUN) -m pytest -p no:paytechuz -n $(WORKERS) --dist worksteal --cov --cov-report= $(COUNTLESS:%=--ignore=%)
	@$(RUN) -m coverage report --fail-under=100

seed: $(READY)
	@if [ -e $(SEED) ]; then $(RUN) $(SEED) $(RUN); \
	else echo "Skipped: the seed document's own code, because $(SEED) is not here."; fi

verify: $(READY)  ## the exhaustive proof, and EVENTS simulated events with every fault
	@$(RUN) -m tests.proof.verify $(EVENTS)

faults: $(READY)  ## kill, cut and race on real databases, and look for every payment; writes build/faults/
	@$(RUN) -m tests.faults --size $(SIZE) --only "$(ONLY)" --workers $(WORKERS)

mutants: $(READY)  ## break each line that decides about money, and list what no test noticed; takes hours
	@$(RUN) -m mutmut run --max-children $(WORKERS)
	@$(RUN) -m mutmut results

# In an environment of its own, because schemathesis brings a plugin that pytest would load into every test.
FUZZ := .venv-fuzz

$(FUZZ)/.ready: pyproject.toml
	@test "$$(uname -sm)" = "Linux x86_64" || { \
		echo "make fuzz needs Linux on x86_64: atheris, which drives it, is built for nothing else. The same properties"; \
		echo "run everywhere over the corpus and some thousands of inputs: .venv/bin/python -m pytest tests/fuzz"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and \
		"make fuzz needs Python 3.11, 3.12 or 3.13, which atheris is built for: make PYTHON=python3.13 fuzz")'
	@echo "Setting up $(FUZZ), which takes a minute ..."
	@test -x $(FUZZ)/bin/pip || $(PYTHON) -m venv $(FUZZ)
	@$(FUZZ)/bin/python -m pip install -qq --upgrade pip
	@$(FUZZ)/bin/python -m pip install -qq --editable '.[fastapi]' --group fuzz
	@touch $@

fuzz: $(FUZZ)/.ready  ## hostile input, RUNS times, and calls drawn from the OpenAPI document, against an app in process
	@$(FUZZ)/bin/python -m tests.fuzz $(RUNS)
	@$(FUZZ)/bin/python -m tests.fuzz.openapi

benchmark: $(READY)  ## speed, as ratios within one run
	@$(RUN) -m benchmarks

messages: $(READY)  ## bring the translations of the Django admin up to date with its texts
	@$(RUN) -m tests.django.messages

docs: $(READY)  ## write the generated pages of docs/ anew
	@$(RUN) docs/generate.py

clean:  ## remove the virtual environments and every cache
	@rm -rf .venv .venv-* .coverage .coverage.* htmlcov mutants .hypothesis .*_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
