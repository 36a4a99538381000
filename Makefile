# The two commands that matter: `make demo` and `make test`. Both create and reuse .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo
SCENES ?= 300

ORIGINAL := .venv-original

.PHONY: setup demo test test-original rivals lint fmt clean

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

# Frameworks that builds are measured beside (`python -m benchmarks.rivals`), each in an environment of its own: some
# of what they need is pinned to other versions than ours.
rivals: setup .venv-data-juicer/.ready .venv-nemo-curator/.ready

.venv-data-juicer/.ready: FRAMEWORK := py-data-juicer==1.6.1
.venv-nemo-curator/.ready: FRAMEWORK := nemo-curator==1.4.0
.venv-data-juicer/.ready .venv-nemo-curator/.ready: pyproject.toml constraints.txt
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D) || python3 -m venv $(@D)
	@grep -E '^(torch|transformers|tokenizers|huggingface-hub|ray|spacy|numpy|pyarrow|pillow|webdataset)==' constraints.txt > $(@D)/versions.txt
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c $(@D)/versions.txt -e . $(FRAMEWORK)
	@touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

fmt: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(DEMO)
