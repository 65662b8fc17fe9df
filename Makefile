# On a fresh machine with Python and make, `make demo` and `make test` need nothing before them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.bench-ready

.PHONY: demo demo-wsgi chromium redis-server valgrind wrk test test-all test-optimized stress faults fuzz check fix conformance figures mounting matrix hostile soak robustness bench bench-quick bench-guard coverage lock clean

$(READY): requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)

$(BENCH_READY): $(READY) requirements/bench.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/bench.txt
	touch $(BENCH_READY)

demo: $(READY)  ## the demo site under uvicorn, until Ctrl-C
	$(BIN)/python -m examples.demo asgi

demo-wsgi: $(READY)  ## the reverse under gunicorn, until Ctrl-C
	$(BIN)/python -m examples.demo wsgi

chromium redis-server valgrind wrk:  ## a program of Debian's; what needs one that cannot be had says that it is skipped
	@command -v $@ >/dev/null || { apt-get update -qq && apt-get install -qq --no-install-recommends $@; } \
		|| echo "no $@: what needs it will be skipped"

# Two processes take turns with the files: while a server of one starts, or a client of it waits, the other works.
test: $(READY) chromium redis-server  ## every test
	$(BIN)/python -X dev -m pytest --dist loadfile --tx '2*popen//python=$(BIN)/python -X dev'

test-all: $(READY)  ## the tests on each CPython that the machine has
	$(BIN)/python -m nox

test-optimized: $(READY)  ## the tests of what is refused, under `python -O`, and so the real servers
	PYTHONOPTIMIZE=1 $(BIN)/python -m pytest --cites SEC,H-09,H-10,H-11,H-12,U,S \
		--dist loadfile --tx '2*popen//python=$(BIN)/python'

fuzz: $(READY)  ## five minutes of random bytes and of random orders, write docs/reference/fuzz.json
	$(BIN)/python -m fuzz run --seconds $(or $(FUZZ_SECONDS),300)

stress: $(READY)  ## the contract tests and the machines, 20 times, with threads that change places at every chance
	for round in $$(seq 20); do \
		echo "round $$round"; SWITCH_INTERVAL=1e-6 EXAMPLES=200 \
			$(BIN)/python -m pytest -q --dist loadfile --tx '2*popen//python=$(BIN)/python' \
			tests/contract tests/machines || exit 1; \
	done

coverage: $(READY)  ## the tests with branch coverage
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage report

conformance: $(READY)  ## write docs/reference/conformance.md from the tests
	$(BIN)/python -m tools.conformance write

figures: $(READY)  ## measure, and write docs/reference/figures.md
	$(BIN)/python -m tools.figures

bench: $(BENCH_READY) wrk  ## compare with the peers, write docs/reference/performance.md and its plots
	$(BIN)/python -m benchmarks full

bench-quick: $(BENCH_READY) wrk  ## the same in short; prints the tables only
	$(BIN)/python -m benchmarks quick

bench-guard: $(READY) valgrind  ## the instructions of a request, against the stored figures
	$(BIN)/python -m benchmarks.guard

soak: $(BENCH_READY)  ## ten minutes of mixed load over real servers, all of it checked; SOAK_SECONDS=60 for less
	$(BIN)/python -m soak --seconds $(or $(SOAK_SECONDS),600)

robustness: $(BENCH_READY)  ## the same load, faults and bad inputs for the bridge and its peers, write docs/reference/robustness.md
	$(BIN)/python -m robustness write

mounting: $(READY)  ## mount every framework in every other, write docs/reference/mounting.md
	$(BIN)/python -m tools.mounting write

matrix: $(READY)  ## serve every app with every server, write docs/reference/servers.md
	$(BIN)/python -m tools.servers write

hostile: $(READY)  ## send hostile requests to every server, write docs/reference/hostile-input.md
	$(BIN)/python -m tools.hostile write

faults: $(READY)  ## the fault tests 20 times in a row, write docs/reference/faults.md
	$(BIN)/python -m tools.faults

check: $(READY) valgrind  ## format, lint, types, import direction, conformance, instructions of a request
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m tools.layering
	$(BIN)/python -m tools.conformance check
	$(BIN)/python -m benchmarks.guard

fix: $(READY)  ## format, and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(READY)  ## pin the development requirements anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --no-header --no-annotate --no-emit-index-url --universal \
		--python-version 3.11 --group dev --output-file requirements/dev.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --no-header --no-annotate --no-emit-index-url --universal \
		--python-version 3.11 --group bench --constraints requirements/dev.txt \
		--output-file requirements/bench.txt pyproject.toml

clean:
	rm -rf $(VENV) .nox .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage htmlcov
