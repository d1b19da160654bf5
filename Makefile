# make help lists what there is.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
N ?=
LAB_ARGS ?=
PYTEST_ARGS ?=

# A lesson runs in its own folder: where the data are must not depend on that.
VIZLIB_DATA ?= $(if $(wildcard data/MNIST),data)
ifneq ($(VIZLIB_DATA),)
export VIZLIB_DATA := $(if $(filter /%,$(VIZLIB_DATA)),,$(CURDIR)/)$(VIZLIB_DATA)
endif

BIN := .venv/bin
READY := .venv/.ready
SETTINGS := .venv/share/jupyter/lab/settings
BIOME := npx --yes @biomejs/biome@2.6.8

# JupyterLab's first screen shows the lesson and asks nothing; a lesson that is saved keeps its views
# alive, also when it is opened tomorrow without its kernel.
CALM := {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}, \
  "@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": true}}

# Without a screen JupyterLab prints its address; root must say that it means it.
SCREEN := $(DISPLAY)$(WAYLAND_DISPLAY)$(filter Darwin,$(shell uname))
LAB_FLAGS := $(if $(SCREEN),,--no-browser) $(if $(filter 0,$(shell id -u)),--allow-root)

# One thread for each test process: two that share a core slow each other down many times over.
# A lesson's cells stay with one worker (loadscope), as they share a kernel.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/pytest -n logical --maxprocesses=8 --dist loadscope
NBVAL = --nbval-current-env --nbval-cell-timeout=180 --nbval-sanitize-with=tests/nbval_sanitize.cfg

.PHONY: help lab student test lint format notebooks site weights bench clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

lab: student ## open the lessons in JupyterLab (LAB_ARGS="--port=9999" and the like go to it)
	$(BIN)/jupyter lab --log-level=WARN --ServerApp.root_dir=student \
	  --LabApp.default_url=/lab/tree/00_start_here.ipynb $(LAB_FLAGS) $(LAB_ARGS)

student: $(READY) ## write the lessons without their outputs into student/ (what is there stays)
	@$(BIN)/python tests/student_notebooks.py

test: $(READY) ## every test, doctest and notebook (PYTEST_ARGS="-k models" picks some)
	mode=$$($(BIN)/python tests/nbval_mode.py); \
	$(PYTEST) tests vizlib notebooks $$mode $(NBVAL) $(PYTEST_ARGS)

lint: $(READY) ## check style, formatting and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	@if command -v npx > /dev/null; then $(BIOME) lint vizlib tests/site; \
	else echo "There is no node here: the JavaScript is not checked."; fi

format: $(READY) ## put formatting right
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

notebooks: $(READY) ## run the notebooks again and save them (N=00 for one; needs MNIST)
	OMP_NUM_THREADS=1 $(BIN)/python tests/save_notebooks.py $(N)

site: $(READY) ## write the course as web pages into site/ (N=00: with views in that lesson alone)
	OMP_NUM_THREADS=1 $(BIN)/python tests/make_site.py $(N)

weights: $(READY) ## train the networks again and save their weights (N=lenet for one; hours; needs MNIST)
	$(BIN)/python weights/make.py train $(N)
	$(BIN)/python weights/make.py table

bench: $(READY) ## measure the speed claims
	for file in benchmarks/*.py; do $(BIN)/python $$file; done

clean: ## remove caches and builds (to begin from nothing, delete .venv as well)
	rm -rf build dist site .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find vizlib tests notebooks weights benchmarks -name __pycache__ -prune -exec rm -rf {} +
	find notebooks -name .ipynb_checkpoints -prune -exec rm -rf {} +

# The stamp is older than pyproject.toml when there is something to install.
$(READY): pyproject.toml | $(BIN)/python
	@echo "Installing vizlib and what it needs into .venv: a few minutes, once."
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	@mkdir -p $(SETTINGS)
	@echo '$(CALM)' > $(SETTINGS)/overrides.json
	@touch $@

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null \
	  || { echo "There is no $(PYTHON) here: install Python 3.11, 3.12 or 3.13, or name yours: make lab PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit("vizlib needs Python 3.11, 3.12 or 3.13 and $(PYTHON) is %d.%d: name another, for example: make lab PYTHON=python3.12" % v)'
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
