# `make demo` and `make test` need Python 3.11 and make, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

SEEDS ?= 200

.PHONY: demo test test-all test-long test-flink storm coverage bench lint clean help

help:
	@echo "make demo         everything once, on a small generated world (under 10 minutes)"
	@echo "make test         lint, types and the tests for each change; minutes"
	@echo "make test-all     what CI runs: these, and whole runs on every engine that is here"
	@echo "make test-long    Table 1 on real photos, more engines, devices and networks; an hour"
	@echo "make storm        whole runs in bad weather: make storm SEEDS=1000"
	@echo "make fuzz         photos and tars that break something; ten minutes each"
	@echo "make coverage     which branches test-all takes"
	@echo "make bench        speed and more beside references; fails where a ratio fell by a quarter"
	@echo "make test-flink   the tests on Flink alone; needs Java and Maven"
	@echo "make clean        remove the virtual environment and the demo"

demo: $(VENV)/gld2.stamp
	$(BIN)/gld2 demo --output $(DEMO)

TWO_AT_A_TIME := -n 2 --dist loadfile --no-loadscope-reorder

test: $(VENV)/test.stamp lint
	$(BIN)/pytest $(TWO_AT_A_TIME) -m "not slow and not long" $(PYTEST_FLAGS)

test-all: $(VENV)/test.stamp lint
	@$(BIN)/python -m tests.engines.flink || echo "the tests on Flink will be skipped"
	$(BIN)/pytest $(TWO_AT_A_TIME) $(PYTEST_FLAGS)

test-long: $(VENV)/test.stamp
	$(BIN)/pytest -m long $(PYTEST_FLAGS)

test-flink: $(VENV)/test.stamp
	$(BIN)/python -m tests.engines.flink
	$(BIN)/pytest $(PYTEST_FLAGS) tests/engines -k flink

storm: $(VENV)/test.stamp
	$(BIN)/python -m tests.storm --seeds $(SEEDS)

fuzz: $(VENV)/test.stamp
	$(BIN)/pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[fuzz]'
	$(BIN)/python -m tests.fuzz images --seconds 600
	$(BIN)/python -m tests.fuzz tars --seconds 600
	$(BIN)/python -m tests.fuzz memory

coverage: $(VENV)/test.stamp
	rm -rf build/coverage
	$(BIN)/coverage run -m pytest $(TWO_AT_A_TIME) $(PYTEST_FLAGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: $(VENV)/test.stamp
	$(BIN)/python -m tests.benchmarks $(BENCH_FLAGS)

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# Stamps are newer than what they are made from: a second run installs nothing.
$(VENV)/gld2.stamp: setup.py docker/pipelines.txt constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gld2 needs Python 3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[pipelines,trainer]'
	touch $@

$(VENV)/test.stamp: $(VENV)/gld2.stamp
	$(BIN)/pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[pipelines,trainer,test]'
	touch $@

clean:
	rm -rf $(VENV) $(DEMO)
