# Everything that a fresh machine needs: `make demo`, `make test`. Python ≥ 3.11, pip and make; no compiler.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := npc server clients actions characters tests benchmarks setup.py

.PHONY: demo test check install dev clean
.DEFAULT_GOAL := demo

demo: install ## Ask a character something aloud and hear the answer
	@echo "==> npc demo"
	@$(BIN)/npc demo

test: dev ## Run every test, on the real models
	@echo "==> fetching the models that the tests use, where they are missing"
	@$(BIN)/npc models pull
	@echo "==> pytest"
	@$(BIN)/python -m pytest

check: dev ## Lint, formatting, strict types, import direction, freshness of the protocol's schema
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	@rm -rf build/check
	@$(BIN)/python setup.py -q build_py --build-lib build/check  # the folders as the one package that they become
	cd build/check && ../../$(BIN)/mypy --config-file ../../pyproject.toml --cache-dir ../../.mypy_cache -p npc
	cd build/check && PYTHONPATH=. ../../$(BIN)/lint-imports --config ../../pyproject.toml --no-cache
	$(BIN)/npc schema --check
	$(BIN)/npc check

install: $(VENV)/.installed
dev: $(VENV)/.dev

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed, and $(PYTHON) is older; try: make PYTHON=python3.12"; exit 1; }
	@echo "==> creating a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@touch $@

$(VENV)/.installed: $(VENV)/.venv pyproject.toml setup.py
	@echo "==> installing the engine (a few minutes the first time: PyTorch is large)"
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar on -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@echo "==> installing what the tests and checks need"
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

clean: ## Remove the environment and what was built; the models' cache stays
	rm -rf $(VENV) build dist *.egg-info
