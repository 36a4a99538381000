# The two commands that matter: `make demo` and `make test`. Both create and reuse .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo
SCENES ?= 300

ORIGINAL := .venv-original

.PHONY: setup demo test test-original lint fmt clean

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

# The authors' packages need torchvision, whose registry wheel does not go with a torch without CUDA by itself.
$(ORIGINAL)/.ready: pyproject.toml constraints.txt tests/original/torchvision_on_cpu.py
	@test -x $(ORIGINAL)/bin/python || $(PYTHON) -m venv $(ORIGINAL) || python3 -m venv $(ORIGINAL)
	$(ORIGINAL)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[original]' pytest pytest-timeout
	@cp tests/original/torchvision_on_cpu.py $$($(ORIGINAL)/bin/python -c 'import site; print(site.getsitepackages()[0])')
	@echo 'import torchvision_on_cpu' > $$($(ORIGINAL)/bin/python -c 'import site; print(site.getsitepackages()[0])')/torchvision_on_cpu.pth
	@touch $@

test-original: $(ORIGINAL)/.ready
	$(ORIGINAL)/bin/python -m pytest tests/original

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

fmt: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(DEMO)
