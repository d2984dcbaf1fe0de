# The TRON payout router: everything a person runs. `make` alone says what there is.
.POSIX:
SHELL = /bin/sh
PYTHON ?= python3

BIN = .venv/bin
STAMP = .venv/.installed
PACKAGES = adapters api bench config.py devnet models settings payout_router_entrypoint.py \
	payout_router_main.py ports services utils workers configs/environment/write_secrets.py
SEEDS ?= 1000000
WORKERS ?= $$(nproc)
# Three at once on two cores, as many tests wait; and each of the servers that they start would
# compile the service again if it were not kept.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 3 --dist loadfile \
	--no-loadscope-reorder

IMAGE ?= pickme/lucid-tron-payout-router:latest-arm64
ENGINE ?= $$(command -v docker || command -v podman)
PLATFORM ?=
IMAGE_FLAGS ?=
# A script that makes local base images where no registry is reachable: without arguments it makes
# them, with --print-env it prints what the shell needs to run podman.
STANDIN_IMAGES ?=
PODMAN_READY = if [ -n "$(STANDIN_IMAGES)" ]; then \
		"$(STANDIN_IMAGES)"; eval "$$("$(STANDIN_IMAGES)" --print-env)"; fi

.PHONY: help setup demo run devnet test test-full check lint lint-image format typecheck imports \
	simulate mutants mutation chaos bench image test-image wheels secrets lock clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## make .venv and install what is missing

$(STAMP): requirements.txt requirements-dev.txt
	@command -v $(PYTHON) >/dev/null || { \
		echo "$(PYTHON) is missing: install Python 3.11 or later, or say make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or later is needed; $(PYTHON) is $$($(PYTHON) -V 2>&1): say make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || test -x $(BIN)/pip || { \
		echo "Python's venv module is missing: install it (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@echo "installing requirements-dev.txt into .venv"
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $(STAMP)

demo: $(STAMP) ## pay sample payouts on a throw-away stack, check them against the chain
	@$(BIN)/python -m devnet.demo

run: $(STAMP) ## the whole stack in the foreground on 127.0.0.1:8092, data under .dev/run
	@$(BIN)/python -m devnet.stack

devnet: $(STAMP) ## the simulated TRON network alone (make devnet ARGS="--nodes 2")
	@$(BIN)/python -m devnet $(ARGS)

test: check ## lint, format, types, import contracts, all tests
	$(PYTEST)

test-full: check wheels ## the same with larger sizes, and the image (STANDIN_IMAGES=script)
	@set -e; $(PODMAN_READY); \
		HYPOTHESIS_PROFILE=full SIMULATION_SECONDS=600 SIMULATION_STRIDE=1 $(PYTEST)

check: lint lint-image typecheck imports

lint: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-image: $(STAMP) ## hadolint: rules of the Dockerfile
	$(BIN)/hadolint Dockerfile.payout-router

format: $(STAMP) ## let ruff repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: $(STAMP) ## mypy --strict
	$(BIN)/mypy $(PACKAGES)
	MYPYPATH=image $(BIN)/mypy image/assemble.py image/check.py

imports: $(STAMP) ## the layers of docs/ and pyproject.toml
	$(BIN)/lint-imports --no-cache

simulate: $(STAMP) ## many seeds of the simulation, going on where it stopped (make simulate SEEDS=100000)
	$(BIN)/python -m tests.simulation --seeds 0:$(SEEDS) --workers $(WORKERS) \
		--resume .dev/simulation-$(SEEDS).json $(ARGS)

mutants: $(STAMP) ## put known errors into copies of the code, see who notices (ARGS="--only NAME")
	$(BIN)/python -m tests.mutants $(ARGS)

mutation: $(STAMP) ## mutmut over what decides about money: score and survivors
	$(BIN)/python -m tests.mutants.mutation $(ARGS)

chaos: $(STAMP) ## kill, pause and cut off real processes under 2,000 payouts (ARGS="--pace fast")
	$(BIN)/python -m tests.chaos $(ARGS)

bench: $(STAMP) ## count node calls and database commands per payout
	$(BIN)/python -m bench

image: ## build the image (PLATFORM=linux/arm64 ENGINE=podman IMAGE=name IMAGE_FLAGS=…)
	BUILDAH_FORMAT=docker $(ENGINE) build --file Dockerfile.payout-router --tag $(IMAGE) \
		$(PLATFORM:%=--platform=%) \
		--build-arg REVISION=$$(git rev-parse HEAD || echo unknown) \
		--build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct || echo 0) $(IMAGE_FLAGS) .

test-image: $(STAMP) ## build the image and run it as Compose does; its size and start
	@set -e; $(PODMAN_READY); $(BIN)/python -m pytest tests/image; $(BIN)/python -m tests.image

wheels: $(STAMP) ## every locked package has a wheel for amd64 and one for arm64
	@for platform in x86_64 aarch64; do \
		$(BIN)/uv pip install --quiet --dry-run --target .dev/wheels --python-version 3.12 \
			--python-platform $$platform-manylinux_2_28 --only-binary :all: --require-hashes \
			-r requirements-prod.txt && echo "$$platform: a wheel for each" || exit 1; done

secrets: ## write configs/environment/.env.secrets with fresh random secrets, once
	@$(PYTHON) configs/environment/write_secrets.py

lock: $(STAMP) ## write requirements-prod.txt anew from requirements.txt
	$(BIN)/uv pip compile requirements.txt --quiet --python-version 3.12 --python-platform linux \
		--generate-hashes --no-emit-index-url --no-emit-find-links --upgrade \
		--custom-compile-command "make lock" --output-file requirements-prod.txt

clean: ## remove .venv, caches and the data of `make run`
	rm -rf .venv .dev .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
