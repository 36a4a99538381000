# The two commands that matter: `make demo` and `make test`. Both create and reuse .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo
SCENES ?= 300

.PHONY: setup demo test lint fmt clean

$(VENV)/.ready: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

setup: $(VENV)/.ready

demo: setup
	@test -f $(DEMO)/scenes/truth.jsonl || $(BIN)/subjectforge miniature scenes $(DEMO)/scenes --count $(SCENES) --seed 7
	$(BIN)/subjectforge build configs/build/miniature.yaml --input $(DEMO)/scenes/images --output $(DEMO)/dataset
	$(BIN)/subjectforge verify $(DEMO)/dataset

test: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

fmt: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(DEMO)
