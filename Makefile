# make            build the extension into .venv, and install experiments/ beside it
# make test       all tests; ARGS="-k name" goes to pytest
# make test-inductor   the programs with tensors, compiled by Inductor; BACKEND=aot_eager is quick
# make verify     the programs again, every hit verified against the real call
# make docs       the pages and the docstrings as a site, build/site; a broken link fails
# make demo       python -m magpy demo
# make bench      python -m magpy bench; ARGS="..." goes to it
# make lint       lengths, commit subjects, C rules, clang-format, ruff, mypy
# make format     clang-format and ruff, in place
# make test-all-pythons   the engine's tests on every CPython >= 3.11 found
# make asan       tests without models, and random programs, under AddressSanitizer and UBSan
# make asan-short a sample of that; minutes
# make fuzz       random programs beside eager, all invariants checked; N=20000 SEED=0 JOBS=2
# make refleak    tests that count references and objects
# make clean      remove what the build made; .venv stays (make distclean takes it too)
#
# Needs gcc, make and a CPython >= 3.11 with its headers and venv; the rest comes from
# requirements/dev.txt.  PYTHON=... picks the interpreter.

PYTHON ?= python3
ARGS ?=

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV := .venv
RUN := $(VENV)/bin/python
say = @printf '== %s\n'

# Stamps carry a hash: changed requirements or an added or deleted file make a new one.
hash = $(firstword $(shell $(1) | cksum))
REQUIREMENTS := $(VENV)/requirements-$(call hash,cat requirements/dev.txt).stamp
SOURCES := $(shell find engine src experiments tools -type f \
    \( -name '*.[ch]' -o -name '*.def' -o -name '*.py' -o -name '*.pyi' \
    -o -name meson.build -o -name pyproject.toml \)) \
    meson.build meson.options pyproject.toml
BUILT := $(VENV)/built-$(call hash,echo $(sort $(SOURCES))).stamp

C_FILES := $(filter %.c %.h,$(SOURCES))

.PHONY: build docs test test-inductor verify demo bench lint format test-all-pythons asan asan-short fuzz refleak clean distclean
.DEFAULT_GOAL := build

build: $(BUILT)

# The first of PYTHON, python3.12, python3.11, python3.13 that the engine supports.
$(RUN):
	@for python in "$(PYTHON)" python3.12 python3.11 python3.13; do \
	    "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	        2>/dev/null || continue; \
	    printf '== virtual environment of %s\n' "$$("$$python" --version)"; \
	    "$$python" -m venv $(VENV); \
	    exit 0; \
	done; \
	echo "error: no CPython 3.11 to 3.13 found; set PYTHON=/path/to/python" >&2; \
	exit 1

$(REQUIREMENTS): requirements/dev.txt | $(RUN)
	$(say) 'pinned requirements (once; torch is large)'
	@quiet=-qq; if [ -t 1 ]; then quiet=; fi; \
	$(RUN) -m pip install $$quiet --disable-pip-version-check -r requirements/dev.txt
	@rm -f $(VENV)/requirements-*.stamp
	@touch $@

INSTALL = PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(RUN) -m pip install --quiet \
    --disable-pip-version-check --no-build-isolation --no-deps --force-reinstall

# The package, and beside it what measures and shows it.
$(BUILT): $(REQUIREMENTS) $(SOURCES)
	$(say) 'build'
	@mkdir -p build/meson build/experiments
	@$(INSTALL) -Cbuild-dir=build/meson -Csetup-args=-Dtesting=true . \
	    > build/build.log 2>&1 || { cat build/build.log; exit 1; }
	@$(INSTALL) -Cbuild-dir=build/experiments ./experiments \
	    >> build/build.log 2>&1 || { cat build/build.log; exit 1; }
	@grep -s 'warning:' build/build.log || true
	@rm -f $(VENV)/built-*.stamp
	@touch $@

DOCS := $(VENV)/docs-$(call hash,cat requirements/docs.txt).stamp

$(DOCS): requirements/docs.txt $(REQUIREMENTS)
	@$(RUN) -m pip install -qq --disable-pip-version-check -r requirements/docs.txt
	@rm -f $(VENV)/docs-*.stamp
	@touch $@

docs: $(BUILT) $(DOCS)
	$(say) 'docs'
	@$(RUN) -m sphinx -q -W --keep-going -b html docs build/site

test: $(BUILT)
	$(say) 'test'
	@$(RUN) -m pytest -q tests $(ARGS)

# The programs with tensors again, compiled; and random ones.  An hour or more: nightly.
# Inductor's C++ is not optimised, which takes a third of the time, and is kept.
BACKEND ?= inductor
test-inductor: export TORCHINDUCTOR_DEBUG_COMPILE := 1
test-inductor: export TORCHINDUCTOR_CACHE_DIR := $(CURDIR)/build/inductor
test-inductor: $(BUILT)
	$(say) 'programs with tensors, compiled by $(BACKEND)'
	@$(RUN) -m pytest -q --backend $(BACKEND) tests/torch_programs \
	    tests/programs/test_tensors.py tests/property/test_property_tensors.py \
	    tests/models/test_own.py $(ARGS)
	@$(RUN) -m tests.fuzz -n $(N) --seed $(SEED) --jobs $(JOBS) --backend $(BACKEND)

# Every program again; each hit is recorded once more and compared.
verify: $(BUILT)
	$(say) 'programs, every hit verified'
	@$(RUN) -m pytest -q --verify tests/programs tests/torch_programs $(ARGS)
	@$(RUN) -X faulthandler -m tests.fuzz -n $(N) --seed $(SEED) --jobs $(JOBS) --verify

demo: $(BUILT)
	@$(RUN) -m magpy demo $(ARGS)

bench: $(BUILT)
	@$(RUN) -m magpy bench $(ARGS)

lint: $(REQUIREMENTS)
	$(say) 'lengths of files, subjects of commits'
	@$(RUN) tools/lint_tree.py
	$(say) 'C rules'
	@$(RUN) tools/lint_c.py
	@$(RUN) tools/lint_layers.py
	$(say) 'clang-format'
	@$(VENV)/bin/clang-format --dry-run -Werror $(C_FILES)
	$(say) 'ruff'
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/ruff format --check --quiet .
	$(say) 'mypy'
	@$(RUN) -m mypy --no-error-summary

format: $(REQUIREMENTS)
	@$(VENV)/bin/clang-format -i $(C_FILES)
	@$(VENV)/bin/ruff format --quiet .
	@$(VENV)/bin/ruff check --quiet --fix .

test-all-pythons: $(REQUIREMENTS)
	@$(RUN) tools/test_pythons.py $(ARGS)

# Parts and why: tools/sanitize.py.  ARGS="tests/programs -k name" runs pytest on those alone.
ASAN := build/asan
asan: $(REQUIREMENTS)
	$(say) 'tests and random programs under AddressSanitizer and UBSan'
	@$(RUN) tools/sanitize.py $(ASAN) $(ARGS)

asan-short: $(REQUIREMENTS)
	$(say) 'a sample of tests and random programs under AddressSanitizer and UBSan'
	@$(RUN) tools/sanitize.py $(ASAN) --short

# Every program and 10,000 lives of a compiled function; `test` takes a sample.
refleak: export MAGPY_TEST_EVERY := 1
refleak: export MAGPY_TEST_CYCLES := 10000
N ?= 2000
SEED ?= 0
JOBS ?= 2
CHECKED := build/checked
fuzz: $(REQUIREMENTS)
	$(say) 'build with assertions'
	@$(RUN) tools/build_engine.py $(CHECKED) --full
	$(say) 'random programs'
	@MP_TRACE_CHECK=full PYTHONPATH=$(CHECKED) \
	    $(RUN) -X faulthandler -m tests.fuzz -n $(N) --seed $(SEED) --jobs $(JOBS) $(ARGS)

refleak: $(BUILT)
	$(say) 'references and objects'
	@$(RUN) -m pytest -q tests/leak $(ARGS)
	@$(RUN) tools/refleak.py $(ARGS)

clean:
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@rm -f $(VENV)/built-*.stamp
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	@rm -rf $(VENV)
