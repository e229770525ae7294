# make demo | test | check | size; every target makes the environment it needs.
PYTHON ?= python3
ENV := .venv-test
SOURCES := pyproject.toml $(wildcard meson.build meson_options.txt) $(shell find src -type f -not -name '*.pyc')
PYTEST_ARGS ?= -n 2

.PHONY: demo test nightly coverage mutation check size clean chromium

demo: .venv/bin/xhat
	.venv/bin/xhat demo

.venv/bin/xhat:
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check '.[table]'

# The tests run against the installed package, never the source tree: doctests of the modules are
# found through --pyargs. The environment is apart from .venv, which may hold an editable install.
test: $(ENV)/installed
	$(ENV)/bin/python -m pytest $(PYTEST_ARGS) -c pyproject.toml --rootdir=. --pyargs tests docs xhat

# The long runs, a part at a time: a part is the tests with its name in theirs. What is done is not
# done again until a source changes, so that a broken run goes on with the part that broke.
PARTS := 200_kills 50_kills 100_signals 100_000_mutants all_bit_flips no_payload 2000_bad_tables \
  500_odd_tables $(addprefix seeds_from_,00 10 20 30 40 50 60 70 80 90)

nightly: $(PARTS:%=build/nightly/%.log)
	$(ENV)/bin/python -m benchmarks.testing

build/nightly/%.log: $(ENV)/installed
	@mkdir -p $(@D)
	XHAT_FIGURES=benchmarks/results/testing $(ENV)/bin/python -m pytest -c pyproject.toml --rootdir=. \
	  -q -m nightly -k $* tests/trust > $@.part 2>&1 || { tail -40 $@.part; exit 1; }
	@tail -1 $@.part
	@mv $@.part $@

# Branches of src/xhat that the everyday tests take, those in other processes too. The tests that
# only repeat (random mutants, flipped bits, kills, signals) are left out: under coverage they take an
# hour, and processes forked for a signal have hung there.
coverage: $(ENV)/installed
	rm -rf build/coverage && mkdir -p build/coverage && touch build/coverage/began
	$(ENV)/bin/python -m coverage run -m pytest $(PYTEST_ARGS) -c pyproject.toml --rootdir=. --pyargs tests \
	  -k "not test_mutants and not single_bit_flip and not kill_9 and not test_info_survives and not test_signals"
	$(ENV)/bin/python -m coverage combine -q
	$(ENV)/bin/python -m coverage json -q -o build/coverage/report.json
	$(ENV)/bin/python -m benchmarks.coverage build/coverage/report.json

# Small faults put into the loader, one at a time: how many of them do its tests find?
mutation: $(ENV)/installed
	$(ENV)/bin/python -m benchmarks.mutation

check: $(ENV)/linted
	$(ENV)/bin/ruff format --check .
	$(ENV)/bin/ruff check .
	$(ENV)/bin/mypy
	$(ENV)/bin/python -m pytest -q tests/test_architecture.py

# The page of the report is tested in Debian's Chromium, where it can be had.
chromium:
	@command -v chromium >/dev/null || { command -v apt-get >/dev/null && test "$$(id -u)" = 0 && \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } || \
	  echo "no Chromium here: the tests of the page will be skipped" >&2

$(ENV)/installed: $(SOURCES)
	test -x $(ENV)/bin/python || $(PYTHON) -m venv $(ENV)
	$(ENV)/bin/python -m pip install --quiet --disable-pip-version-check '.[test]'
	touch $@

$(ENV)/linted: pyproject.toml $(ENV)/installed
	$(ENV)/bin/python -m pip install --quiet --disable-pip-version-check '.[lint]'
	touch $@

# Lines per file, the longest first.
size:
	@wc -l $$(git ls-files 'src/*.py' 'src/*.pyx' 'src/*.cpp' 'src/*.hpp' 'tests/*.py') | sort -rn

clean:
	rm -rf $(ENV) build dist
