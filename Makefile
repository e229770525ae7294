# make demo | test | check | size; every target makes the environment it needs.
PYTHON ?= python3
ENV := .venv-test
SOURCES := pyproject.toml $(wildcard meson.build meson_options.txt) $(shell find src -type f -not -name '*.pyc')
PYTEST_ARGS ?= -n 2

.PHONY: demo test check size clean chromium

demo: .venv/bin/xhat
	.venv/bin/xhat demo

.venv/bin/xhat:
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check '.[table]'

# The tests run against the installed package, never the source tree: doctests of the modules are
# found through --pyargs. The environment is apart from .venv, which may hold an editable install.
test: $(ENV)/installed
	$(ENV)/bin/python -m pytest $(PYTEST_ARGS) -c pyproject.toml --rootdir=. --pyargs tests docs xhat

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
