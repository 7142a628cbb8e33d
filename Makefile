# TritonTube's commands. Each recipe is one line or a script; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup setup-test run test check format chaos soak bench clean

BIN := .venv/bin

help:  ## Show this list.
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1\t\2/p' Makefile | expand -t 12

setup:  ## Install what is missing to run it; afterwards .venv/bin/tritontube works.
	@scripts/setup

setup-test:  ## The same, and what the tests need.
	@scripts/setup --test

run: setup  ## Install what is missing, then start everything; options in ARGS, as ARGS='--port 9000'.
	@exec $(BIN)/tritontube up $(ARGS)

test: setup-test  ## Install what is missing, then run the tests (all but the slow ones of `make chaos`).
	@exec scripts/test $(ARGS)

chaos: setup-test  ## Kill processes, fill and destroy disks, cut the power, all under load: 25 scenarios and more.
	@exec $(BIN)/pytest tests/chaos $(ARGS)

soak: setup-test  ## Simulate the storage protocol 30,000 times, transcode 3,000 damaged videos: an hour and a half; ARGS='--runs 1000'.
	@$(BIN)/python -m tests.simulation --runs 30000 $(ARGS)
	@exec $(BIN)/python -m tests.fuzz --runs 3000 $(ARGS)

check: setup  ## Linters, types, import contracts, generated code.
	@scripts/check

bench:  ## Measure against plain ffmpeg, nginx, Swift and cp, as docs/benchmarks.md records; options in ARGS.
	@scripts/setup --bench
	@exec bench/run $(ARGS)

format:  ## Format the Python code.
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

clean:  ## Remove what was built and installed here (not your data).
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
