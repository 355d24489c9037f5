# `make demo` and `make test` need Python 3.11 and make, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: demo test test-long test-flink lint clean help

help:
	@echo "make demo         everything once, on a small generated world (under 10 minutes)"
	@echo "make test         lint, types and all tests"
	@echo "make test-long    Table 1 of five networks on real photos; half an hour"
	@echo "make test-flink   the tests on Flink alone; needs Java and Maven"
	@echo "make clean        remove the virtual environment and the demo"

demo: $(VENV)/gld2.stamp
	$(BIN)/gld2 demo --output $(DEMO)

test: $(VENV)/test.stamp lint
	@$(BIN)/python -m tests.engines.flink || echo "the tests on Flink will be skipped"
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_FLAGS)

test-long: $(VENV)/test.stamp
	$(BIN)/pytest -m long $(PYTEST_FLAGS)

test-flink: $(VENV)/test.stamp
	$(BIN)/python -m tests.engines.flink
	$(BIN)/pytest $(PYTEST_FLAGS) tests/engines -k flink

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
