# `make train` and `make test` set up everything they need on a fresh machine: a virtual environment in .venv with the
# project installed in it. `make VENV=somewhere …` uses another place, PYTHON=python3.12 another interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.installed
ARGS ?=
PEERS ?=

.DEFAULT_GOAL := help
.PHONY: help train preflight test test-slow torture fuzz mutants lint format dashboard benchmark clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

train: $(READY) ## train: make train ARGS="model=linear optimizer.lr=1e-2"
	$(BIN)/python scripts/train.py $(ARGS)

preflight: $(READY) ## check a run before it starts: make preflight ARGS="dataset=cifar10"
	$(BIN)/python scripts/train.py trainer.preflight=only $(ARGS)

test: lint ## check style and types, then run the test suite, on all cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

test-slow: $(READY) ## run the tests that take longer
	$(BIN)/python -m pytest -m slow $(ARGS)

torture: $(READY) ## kill, damage, fill and fuzz, in full (about 10 minutes)
	DEEPROB_TORTURE=1 $(BIN)/python -m pytest tests/torture $(ARGS)

fuzz: $(READY) ## draw commands, data, runs and signals at random, check what must always hold: make fuzz ARGS="--minutes 60"
	OMP_NUM_THREADS=1 $(BIN)/python tests/torture/fuzzer.py $(ARGS)

mutants: $(READY) ## change objective, optim, models, training, randomness, grouping in 400 places, list what no test notices: make mutants ARGS="--count 100"
	$(BIN)/python -m pip install --quiet --editable '.[test,mutation]'
	OMP_NUM_THREADS=1 $(BIN)/python tests/mutation/mutants.py $(ARGS)

lint: $(READY) ## check style (ruff) and types (mypy, strict)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## rewrite the sources in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dashboard: $(READY) ## open TensorBoard on all runs in outputs/
	$(BIN)/tensorboard --logdir outputs

benchmark: $(READY) ## measure speed beside other libraries: make benchmark PEERS=1 ARGS="rounds=5 root=FOLDER" (root: CIFAR-10 in class folders)
	$(BIN)/python -m pip install --quiet --editable '.[$(if $(PEERS),peers,benchmark)]'
	$(BIN)/python tests/benchmarks/default_run.py $(filter rounds=%,$(ARGS))
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/stack.py updates runs=64 $(filter rounds=%,$(ARGS))
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/stack.py updates runs=256 $(filter rounds=%,$(ARGS))
	$(if $(findstring root=,$(ARGS)),$(BIN)/python tests/benchmarks/training.py $(ARGS))

clean: ## remove the virtual environment and caches (never outputs/)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
