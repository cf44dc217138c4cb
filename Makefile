# `make demo` and `make test` create what they need: .venv, pinned by constraints.txt.
# The host's own pip installs into it (pip --python), so a Python without ensurepip is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check install --quiet --constraint constraints.txt
PYTEST_ARGS ?=

.PHONY: help demo test slow lint format figures docs links digits clean

help:
	@echo "make demo    explain a held-out digit with the shipped network"
	@echo "make test    the tests (PYTEST_ARGS='-k name' selects)"
	@echo "make slow    the long statistical and real-data tests"
	@echo "make lint    ruff, mypy --strict, import contracts, docstrings, numbers on pages"
	@echo "make format  ruff's formatter and safe fixes"
	@echo "make figures the papers' figures and tables: computed or read, checked, drawn into paper_figures/out"
	@echo "make docs    the documentation, warnings as errors; its links and its pages in a browser are checked"
	@echo "make links   whether the links to other sites still do (needs a network)"
	@echo "make digits  train the shipped network again"
	@echo "make clean   remove the environment and all caches"

demo: $(VENV)/.demo
	@$(BIN)/legstat demo

# two workers on two cores: a BLAS that starts threads of its own would only get in their way
test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

slow: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m slow $(PYTEST_ARGS)

# every step runs, whatever the ones before it found
lint: $(VENV)/.test
	@status=0; \
	for step in 'ruff check .' 'ruff format --check .' mypy 'lint-imports --no-cache' 'python tools/check_docstrings.py' \
		'python tools/check_numbers.py'; do \
		echo "== $$step"; $(BIN)/$$step || status=1; \
	done; exit $$status

format: $(VENV)/.test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

figures: $(VENV)/.demo
	$(BIN)/python paper_figures/make.py

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	$(BIN)/python tools/check_links.py docs/_build/html
	$(BIN)/python tools/check_pages.py docs/_build/html

links: $(VENV)/.docs
	$(BIN)/sphinx-build -q -b linkcheck docs docs/_build/links

digits: $(VENV)/.test
	$(BIN)/python tools/train_digits.py

# Each stamp is written last: an interrupted installation is taken up again by the next call.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is %s: make PYTHON=python3.12 ..." % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear --without-pip $(VENV)
	@touch $@

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/.created
	$(INSTALL) --editable '.[onnx]'
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/.created
	$(INSTALL) --editable '.[test,onnx,torch,fast,http,compare,gradients,audit,cluster,xarray]'
	@touch $@ $(VENV)/.demo

$(VENV)/.docs: pyproject.toml constraints.txt | $(VENV)/.created
	$(INSTALL) --editable '.[docs,onnx]'
	@touch $@

clean:
	rm -rf $(VENV) docs/_build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
