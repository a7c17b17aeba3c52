# Every target makes the environment that it needs; nothing has to be installed by hand but Python 3.11 or newer.
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALL = $(PIP) --constraint constraints.txt
# glibc fills memory that is fresh or freed with this byte, for tests to notice who reads it.
PYTEST = MALLOC_PERTURB_=165 $(BIN)/python -m pytest
# Two processes with two threads of linear algebra each would wait for one another on two processors.
IN_TWO = OMP_NUM_THREADS=1 $(PYTEST) -n 2
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help table kernels training accuracy selection he encrypted-networks times stages service attacks robustness secrecy meeting own gpu test lint format test-slow test-random fuzz bounds train requirements clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

table: $(VENV)/table.stamp  ## measure Table 3.1 on the embedded digits (ARGS="--dataset mnist --data DIR" for MNIST)
	$(BIN)/python -m he warm  # so that no row's time has a compilation in it
	$(BIN)/python -m bench table --json results/table.json --plot results/table.png $(ARGS)

kernels: $(VENV)/kernels.stamp  ## time the integer kernels beside onnxruntime, torch and numpy
	$(BIN)/python -m bench kernels --json results/kernels.json $(ARGS)

training: $(VENV)/kernels.stamp  ## time a step of integer training beside torch and numpy
	$(BIN)/python -m bench training --json results/training.json $(ARGS)

accuracy: $(VENV)/table.stamp  ## train in integers from five seeds (ARGS="--network mnist-cnn --data DIR" for MNIST)
	$(BIN)/python -m bench accuracy --json results/accuracy.json $(ARGS)

selection: $(VENV)/table.stamp  ## how the constants of heads trained on ciphertexts were chosen (ARGS="--dataset mnist --data DIR")
	$(BIN)/python -m bench selection --json results/selection.json $(ARGS)

he: $(VENV)/table.stamp  ## time the fast engine beside SEAL's evaluator: operations, then networks
	$(BIN)/python -m bench he --json results/he.json $(ARGS)

encrypted-networks: $(VENV)/table.stamp  ## networks whose weights are encrypted, beside plain weights
	$(BIN)/python -m bench encrypted-networks --json results/encrypted-networks.json $(ARGS)

times: $(VENV)/table.stamp  ## what a fresh process waits for: imports, stored circuits, first answers, compilation
	$(BIN)/python -m bench times --json results/times.json $(ARGS)

stages: $(VENV)/table.stamp  ## encrypted inference by commands that exchange files: what each costs, its start included
	$(BIN)/python -m bench stages --json results/stages.json $(ARGS)

service: $(VENV)/service.stamp  ## a server over loopback: one image, many clients, a crash (ARGS="--network NAME")
	$(BIN)/python -m bench service --json results/service.json $(ARGS)

attacks: $(VENV)/attacks.stamp  ## time adversarial attacks beside foolbox and pyautoattack (ARGS="--dataset mnist")
	$(BIN)/python -m bench attacks --json results/attacks.json $(ARGS)

robustness: $(VENV)/attacks.stamp  ## the card of a model: many attacks, one referee, pictures (ARGS="--model mnist-pgd-cnn")
	$(BIN)/python -m bench robustness --json results/robustness.json --plot-dir results/robustness $(ARGS)

secrecy: $(VENV)/attacks.stamp  ## what hiding a network stops: attacks through its decrypted answers, and others
	$(BIN)/python -m bench secrecy --json results/secrecy.json $(ARGS)

meeting: $(VENV)/attacks.stamp  ## robustness of integers against encrypted time (ARGS="--full --data DIR" for MNIST)
	$(BIN)/python -m bench meeting --json results/meeting.json --plot results/meeting.svg $(ARGS)

own: $(VENV)/own.stamp  ## a model of your own, encrypted: what it keeps and costs (ARGS="--model FILE.onnx --samples X.npy")
	$(BIN)/python -m bench own --json results/own.json --plot-dir results/own $(ARGS)

gpu: $(VENV)/gpu.stamp  ## CUDA kernels on this machine's GPU: equality, then speed, added to bench/records/gpu.jsonl
	$(BIN)/python -m he warm  # so that no time of the processor's has a compilation in it
	$(BIN)/python -m bench gpu $(ARGS)

# Coverage is that of all tests: of some of them, it says nothing.
test: lint  ## lint, type-check, and run the tests; those of the measured rooms must enter nearly every branch
	$(IN_TWO) $(if $(ARGS),$(ARGS),--cov)

lint: $(VENV)/test.stamp  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/test.stamp  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-slow: $(VENV)/test.stamp  ## the tests that take minutes
	$(PYTEST) -m slow $(ARGS)

test-random: $(VENV)/test.stamp  ## property tests on examples drawn anew (ARGS="--hypothesis-seed=N" repeats them)
	$(IN_TWO) --hypothesis-profile=random $(ARGS)

fuzz: $(VENV)/test.stamp  ## ten million mutated messages for clients and sessions (ARGS="COUNT SEED")
	$(BIN)/python -m tests.he.fuzz $(ARGS)

bounds: $(VENV)/test.stamp  ## ten thousand random CKKS networks against their error bounds
	$(BIN)/python -m tests.he.many_networks $(or $(ARGS),10000)

train: $(VENV)/test.stamp  ## train the shipped networks anew (MNIST's need INTNN_DATA or a network)
	for name in $$($(BIN)/python -c 'from plaintext_models import zoo; print(*zoo.names())'); do \
		$(BIN)/python -m plaintext_models.zoo.publish $$name --out plaintext_models/zoo/networks $(ARGS) || exit 1; done

requirements: $(VENV)/table.stamp  ## write requirements/table.txt anew: the versions of constraints.txt, with hashes
	$(BIN)/python -m requirements.lock

clean:  ## remove the environment and all results
	rm -rf $(VENV) results .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ...'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# For the table, only the very wheels that requirements/table.txt names are installed. It knows those for Linux and Python
# 3.11 to 3.13; elsewhere, HASHES=no takes what the index has.
$(VENV)/table.stamp: $(VENV)/python.stamp pyproject.toml requirements/table.txt
	@echo 'Installing what the table needs into $(VENV) ...'
ifeq ($(HASHES),no)
	$(INSTALL) --editable '.[he,data,bench]'
else
	$(PIP) --require-hashes --only-binary :all: --requirement requirements/table.txt
	$(PIP) --no-deps --no-build-isolation --editable .
endif
	@touch $@

$(VENV)/kernels.stamp: $(VENV)/python.stamp pyproject.toml constraints.txt
	@echo 'Installing what the comparison needs into $(VENV), torch and onnxruntime included ...'
	$(INSTALL) --editable '.[he,data,train,bench,peers]'
	@touch $@

$(VENV)/attacks.stamp: $(VENV)/python.stamp pyproject.toml constraints.txt
	@echo 'Installing what the attacks need into $(VENV), torch included ...'
	$(INSTALL) --editable '.[he,data,train,attacks,bench,oracles]'
	@touch $@

$(VENV)/service.stamp: $(VENV)/python.stamp pyproject.toml constraints.txt
	@echo 'Installing what a server needs into $(VENV) ...'
	$(INSTALL) --editable '.[he,serve,data,bench]'
	@touch $@

$(VENV)/own.stamp: $(VENV)/python.stamp pyproject.toml constraints.txt
	@echo 'Installing what models of torch, scikit-learn and ONNX need into $(VENV) ...'
	$(INSTALL) --editable '.[he,data,train,bench,onnx,draw]'
	@touch $@

$(VENV)/gpu.stamp: $(VENV)/python.stamp pyproject.toml constraints.txt
	@echo 'Installing what the CUDA kernels need into $(VENV) ...'
	$(INSTALL) --editable '.[he,data,bench,cuda]'
	@touch $@

$(VENV)/test.stamp: $(VENV)/python.stamp pyproject.toml constraints.txt
	@echo 'Installing what the tests need into $(VENV), torch included ...'
	$(INSTALL) --editable '.[he,serve,data,train,attacks,bench,cuda,oracles,peers,test]'
	@touch $@
