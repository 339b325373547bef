# LSTM, Checked. `make` alone lists what there is. Whatever needs .venv sets it up first, once.

PYTHON ?= python3
JOBS   ?= 2

VENV     := .venv
PY       := $(VENV)/bin/python
HTML     := _build/html
BOOK_LOG := _build/logs/book.log

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# What matplotlib and IPython remember stays here: a fresh home folder changes nothing.
export MPLCONFIGDIR := $(CURDIR)/$(VENV)/matplotlib
export IPYTHONDIR := $(CURDIR)/$(VENV)/ipython
# Another lstm on that path would be imported in the place of this one.
unexport PYTHONPATH PYTHONHOME

.PHONY: help book live test quick lint pdf lab outputs times bench release clean

help:
	@echo 'LSTM, Checked: every equation derived, every claim run.'
	@echo
	@echo '  make book     build the book and say where to open it; needs no PyTorch'
	@echo '  make live     build the book with chapters that run in the page (77 MB, once)'
	@echo '  make test     run every check: style, package, equations, notebooks, pages, links;'
	@echo '                one file alone: make test FILE=tests/lstm/test_cell.py'
	@echo '  make quick    run the quick tests: a minute or two'
	@echo '  make lint     run the style checks alone (seconds)'
	@echo '  make pdf      build the book and print it, as one PDF (needs Chromium)'
	@echo '  make lab      open the notebooks in JupyterLab'
	@echo '  make outputs  run the notebooks from a fresh kernel and store what they print;'
	@echo '                one of them alone: make outputs NB=book/NAME.ipynb'
	@echo '  make times    measure how long each chapter runs, and write the page that says so'
	@echo '  make bench    measure speed against other libraries'
	@echo '  make release  make the files of the package, check and install them (needs a network)'
	@echo '  make clean    remove everything that was built (.venv stays)'
	@echo
	@echo 'Each sets up in .venv what it needs, once. With another Python: make book PYTHON=python3.12'

# ------------------------------------------------------------------------------------------ set-up
# The stamp is written last, so a set-up that was interrupted starts again.

$(VENV)/%.ready: requirements.txt pyproject.toml book/pyproject.toml
	@command -v '$(PYTHON)' >/dev/null || { \
	  echo "'$(PYTHON)' does not run here: install Python 3.11 or newer, or name yours: make PYTHON=/path/to/python3" >&2; \
	  exit 1; }
	@'$(PYTHON)' book/lstm_book/press/setup.py $* $(if $(CUDA),--cuda)

# -------------------------------------------------------------------------------------------- book
# Every warning is an error. --all, because a page that is not written again keeps an old sidebar.

book: $(VENV)/book.ready
	@echo 'Building the book.'
	@mkdir -p $(dir $(BOOK_LOG))
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

live: book
	@$(PY) -m lstm_book.press.live
	@echo 'A page may start Python where it is served, not where it was opened as a file:'
	@echo '  $(PY) -m http.server --bind 127.0.0.1 --directory $(HTML) 8000'

pdf: $(VENV)/pdf.ready
	@$(PY) -m lstm_book.press.pdf --check
	@$(MAKE) --no-print-directory book
	@echo 'Printing it: a minute or two.'
	@$(PY) -m lstm_book.press.pdf

# ------------------------------------------------------------------------------------------- tests
# One thread for each of the JOBS processes.
PYTEST = OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(PY) -m pytest
NBVAL  = --nbval --nbval-current-env --nbval-cell-timeout 120 --nbval-sanitize-with tests/nbval.cfg
SPREAD = -n $(JOBS) --dist loadfile --no-loadscope-reorder

lint: $(VENV)/test.ready
	@$(PY) -m ruff check --quiet .; checked=$$?; \
	$(PY) -m ruff format --check --quiet . && exit $$checked; \
	echo 'Files are not formatted: run  $(PY) -m ruff format' >&2; exit 1

ifdef FILE
test: $(VENV)/test.ready
	@$(PYTEST) $(if $(filter %.ipynb,$(FILE)),$(NBVAL)) '$(FILE)'
else
# All three parts run even where an earlier one fails.
test: $(VENV)/test.ready
	@failed=''; \
	echo 'Checking style.'; \
	$(MAKE) --no-print-directory lint || failed="$$failed style"; \
	$(MAKE) --no-print-directory book || failed="$$failed book"; \
	echo 'Testing the package, the notebooks (every cell runs again, outputs are compared) and the pages.'; \
	$(PYTEST) $(SPREAD) $(NBVAL) --durations 10 --durations-min 3 || failed="$$failed tests"; \
	if [ -n "$$failed" ]; then echo "Failed:$$failed." >&2; exit 1; fi
endif

quick: $(VENV)/test.ready
	@$(PYTEST) $(SPREAD) --quiet -m 'not (slow or book or browser)' tests

# -------------------------------------------------------------------------------------- notebooks

lab: $(VENV)/lab.ready
	@$(PY) -m jupyterlab --notebook-dir=book \
	  --LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
	  $(if $(filter 0,$(shell id -u)),--allow-root)

outputs: $(VENV)/lab.ready
	@$(PY) -m lstm_book.press.execute $(or $(NB),$(sort $(wildcard book/*.ipynb)))

times: $(VENV)/lab.ready
	@$(PY) -m lstm_book.press.run_times $(NB)

bench: $(VENV)/lab.ready
	@$(PY) -m benchmarks

# Wheel and source distribution, each installed alone and run. The tools stay out of .venv; README
# points to nothing that lies beside it only here.
RELEASE := _build/release
release:
	@rm -rf $(RELEASE)
	@'$(PYTHON)' -m venv $(RELEASE)/tools
	@$(RELEASE)/tools/bin/pip install --quiet build==1.6.1 twine==7.0.0
	@mkdir $(RELEASE)/source && cp -R lstm pyproject.toml LICENSE CHANGELOG.md $(RELEASE)/source
	@'$(PYTHON)' book/lstm_book/press/readme.py README.md $(RELEASE)/source/README.md
	@$(RELEASE)/tools/bin/python -m build --outdir $(RELEASE)/dist $(RELEASE)/source >$(RELEASE)/build.log
	@$(RELEASE)/tools/bin/twine check --strict $(RELEASE)/dist/*
	@cd $(RELEASE) && for file in dist/*; do \
	  echo "Installing $$file."; \
	  '$(PYTHON)' -m venv --clear fresh && fresh/bin/pip install --quiet "$$file" && \
	  fresh/bin/python -m lstm check || exit 1; \
	done

# `rm` takes a link itself, never what it leads to; `find` follows none.
clean:
	rm -rf _build ./*.egg-info book/*.egg-info
	find . \( -name .venv -o -name .git \) -prune -o \
	  -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
