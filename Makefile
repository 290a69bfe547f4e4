# Every target sets up the environment it needs, in .venv; run any of them on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS := -n 2 --dist loadfile --no-loadscope-reorder
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"

.PHONY: demo test quick lint setup setup-dev bench clean-scratch
.DEFAULT_GOAL := demo

demo: setup  ## draw toy cats, train on them, sample, score, walk: about a quarter of an hour on 2 cores
	$(RUN) dvc repro
	@$(RUN) dvc metrics show
	@echo
	@echo "Your machine learned to draw cats:"
	@echo "  results/report.html   everything on one page: open it in a browser"
	@echo "  results/samples.png   samples of the trained generator      samples/ one by one"
	@echo "  results/walk.gif      the latent walk (also .mp4 and a still strip .png)"
	@echo "  results/curves.png    losses and scores over training"
	@echo "  results/metrics.json  the score, and what was measured how"

test: setup-dev  ## the whole test suite, linters included
	$(RUN) ruff check . && $(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) python -m pytest $(WORKERS)

quick: setup-dev  ## tests without the slow whole-pipeline ones
	$(RUN) python -m pytest $(WORKERS) -m "not slow"

lint: setup-dev
	$(RUN) ruff check . && $(RUN) ruff format --check . && $(RUN) mypy

setup: $(VENV)/.demo  ## the environment alone

setup-dev: $(VENV)/.dev

$(VENV)/.python:
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is missing: install Python 3.11 or newer, or run: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; v = "%d.%d" % sys.version_info[:2]; sys.version_info >= (3, 11) or sys.exit("error: Python 3.11 or newer is needed, " + sys.executable + " is " + v + "; run: make PYTHON=/path/to/python3.11")'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "error: $(PYTHON) lacks its venv module (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@command -v git >/dev/null || { echo "error: git is missing: install it"; exit 1; }
	[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.demo: $(VENV)/.python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps clean-fid==0.1.35
	touch $@

bench: setup-dev  ## short benchmarks, ratios against baselines; all of them: python -m benchmarks --full
	$(RUN) python -m benchmarks

clean-scratch:  ## forget interrupted training
	rm -rf scratch
