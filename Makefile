# LSTM, Checked. `make` alone lists what there is. Whatever needs .venv sets it up first, once.

PYTHON ?= python3
JOBS   ?= 2
NB     ?= $(sort $(wildcard book/*.ipynb))

VENV      := .venv
PY        := $(VENV)/bin/python
PACKAGES  := $(VENV)/.packages-installed
READY     := $(VENV)/.ready
HTML      := _build/html
LOGS      := _build/logs
SETUP_LOG := $(LOGS)/setup.log
BOOK_LOG  := $(LOGS)/book.log

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# What matplotlib and IPython remember stays here: a fresh home folder changes nothing.
export MPLCONFIGDIR := $(CURDIR)/$(VENV)/cache/matplotlib
export IPYTHONDIR := $(CURDIR)/$(VENV)/cache/ipython

.PHONY: help setup book pdf test lint lab bench outputs times clean

help:
	@echo 'LSTM, Checked: every equation derived, every claim run.'
	@echo
	@echo '  make book     build the book and say where to open it'
	@echo '  make test     run every check: style, package, equations, notebooks, pages, links'
	@echo '  make pdf      build the book and print it, as one PDF (needs Chromium)'
	@echo '  make lint     run the style checks alone (seconds)'
	@echo '  make lab      open the notebooks in JupyterLab'
	@echo '  make bench    measure speed against other libraries'
	@echo '  make outputs  run the notebooks from a fresh kernel and store what they print;'
	@echo '                one of them alone: make outputs NB=book/NAME.ipynb'
	@echo '  make times    measure how long each chapter runs, and write the page that says so'
	@echo '  make clean    remove everything that was built (.venv stays)'
	@echo
	@echo 'The first of them sets up .venv, once. With another Python: make book PYTHON=python3.12'

# ------------------------------------------------------------------------------------------ set-up
# A stamp is written last, so a set-up that was interrupted starts again where it stopped.

setup: $(READY)

$(PACKAGES): requirements.txt
	@mkdir -p $(LOGS)
	@'$(PYTHON)' -c '' 2>$(SETUP_LOG) || { \
	  echo "'$(PYTHON)' does not run here: install Python 3.11 or newer, or name yours: make PYTHON=/path/to/python3" >&2; \
	  exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, and '$(PYTHON)' is $$('$(PYTHON)' --version 2>&1): name a newer one: make PYTHON=/path/to/python3" >&2; \
	  exit 1; }
	@echo 'Setting up .venv with the packages in requirements.txt: once, some minutes.'
	@'$(PYTHON)' -m venv $(VENV) >>$(SETUP_LOG) 2>&1 || { \
	  echo "Python could not make .venv (on Debian or Ubuntu: apt install python3-venv); its own words are in $(SETUP_LOG)." >&2; \
	  exit 1; }
	@$(PY) -m pip install --requirement requirements.txt >>$(SETUP_LOG) 2>&1 || { \
	  if grep -Eqi 'connection (broken|refused|reset|error)|new connection|name resolution|max retries|timed out|unreachable|proxyerror' $(SETUP_LOG); then \
	    echo "The package index cannot be reached: connect to the network and run the same command again (pip's own words are in $(SETUP_LOG))." >&2; \
	  else \
	    echo "pip could not install the packages in requirements.txt; its own words are at the end of $(SETUP_LOG)." >&2; \
	  fi; \
	  exit 1; }
	@touch $@

# --no-build-isolation: build with the pinned setuptools, without asking the index for another.
# The check compiles what numba compiles, too, so that no notebook waits for it.
$(READY): $(PACKAGES) pyproject.toml book/pyproject.toml
	@mkdir -p $(LOGS)
	@$(PY) -m pip install --no-deps --no-build-isolation --editable . --editable book >>$(SETUP_LOG) 2>&1 || { \
	  echo "pip could not install the package lstm itself; its own words are at the end of $(SETUP_LOG)." >&2; \
	  exit 1; }
	@mkdir -p $(MPLCONFIGDIR) $(IPYTHONDIR)
	@$(PY) -c 'import matplotlib.font_manager' 2>>$(SETUP_LOG)
	@$(PY) -m lstm check >>$(SETUP_LOG) 2>&1 || { \
	  echo "The package was installed and computes wrong results here: see the end of $(SETUP_LOG)." >&2; \
	  exit 1; }
	@touch $@

# -------------------------------------------------------------------------------------------- book
# Every warning is an error. --all, because a page that is not written again keeps an old sidebar.

book: $(READY)
	@echo 'Building the book.'
	@mkdir -p $(LOGS)
	@rm -rf $(HTML)
	@{ $(PY) $(VENV)/bin/jupyter-book build . -n -W --keep-going --all -q && test -f $(HTML)/index.html; } >$(BOOK_LOG) 2>&1 || { \
	  grep -E 'WARNING|ERROR|Error' $(BOOK_LOG) >&2 || tail -n 20 $(BOOK_LOG) >&2; \
	  echo "The book was not built: see above, and all of it in $(BOOK_LOG)." >&2; \
	  exit 1; }
	@echo
	@echo 'The book is built. Open it in a browser:'
	@echo '  file://$(CURDIR)/$(HTML)/index.html'
	@echo 'or serve it, and open http://127.0.0.1:8000:'
	@echo '  $(PY) -m http.server --bind 127.0.0.1 --directory $(HTML) 8000'
	@echo

pdf: $(READY)
	@$(PY) -m lstm_book.press.pdf --check
	@$(MAKE) --no-print-directory book
	@echo 'Printing it: a minute or two.'
	@$(PY) -m lstm_book.press.pdf

# ------------------------------------------------------------------------------------------- tests
# All three parts run even where an earlier one fails. One thread for each of the JOBS processes.

lint: $(READY)
	@$(PY) -m ruff check --quiet .; checked=$$?; \
	$(PY) -m ruff format --check --quiet . && exit $$checked; \
	echo 'Files are not formatted: run  $(PY) -m ruff format' >&2; exit 1

test: $(READY)
	@failed=''; \
	echo 'Checking style.'; \
	$(MAKE) --no-print-directory lint || failed="$$failed style"; \
	$(MAKE) --no-print-directory book || failed="$$failed book"; \
	echo 'Testing the package, the notebooks (every cell runs again, outputs are compared) and the pages.'; \
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder \
	  --nbval --nbval-current-env --nbval-cell-timeout 120 --nbval-sanitize-with tests/nbval.cfg \
	  --durations 10 --durations-min 3 \
	  || failed="$$failed tests"; \
	if [ -n "$$failed" ]; then echo "Failed:$$failed." >&2; exit 1; fi

# -------------------------------------------------------------------------------------- notebooks

outputs: $(READY)
	@$(PY) -m lstm_book.press.execute $(NB)

times: $(READY)
	@$(PY) -m lstm_book.press.run_times

lab: $(READY)
	@$(PY) -m jupyterlab --notebook-dir=book \
	  --LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
	  $(if $(filter 0,$(shell id -u)),--allow-root)

bench: $(READY)
	@$(PY) -m benchmarks

clean:
	rm -rf _build *.egg-info
	find . -name .venv -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -print \
	  | xargs rm -rf
