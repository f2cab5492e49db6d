# Two commands for everyone: `make demo` and `make test`. Everything they need is set up by themselves.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(shell cat pyproject.toml requirements.lock | cksum | cut -d' ' -f1)

.PHONY: demo test check bench lock upgrade ranges browser clean

demo: $(STAMP)  ## run the hub with two invented partners
	@exec $(BIN)/carelane demo

test: $(STAMP) browser check  ## run every check and test, files shared by two processes; WORKERS=0 takes one
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

check: $(STAMP)  ## format, lint, types, import contracts
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache > /tmp/carelane-imports.$$$$ || { cat /tmp/carelane-imports.$$$$; rm -f /tmp/carelane-imports.$$$$; exit 1; }; rm -f /tmp/carelane-imports.$$$$

# Versions and hashes come from the one lock; uv itself is taken from it too.
$(STAMP): pyproject.toml requirements.lock
	@echo "Setting up $(VENV) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || { awk '/^[a-z]/{keep=/^uv==/} keep' requirements.lock > $(VENV)/uv.lock && \
	  { $(BIN)/python -m pip --version > /dev/null 2>&1 || $(BIN)/python -m ensurepip -q; } && \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock; }
	@$(BIN)/uv pip sync -q --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/.installed-* && touch $@

# The browser tests need Chromium. Where it is absent and we may install it, we do; elsewhere they are skipped, with the reason.
browser:
	@command -v chromium > /dev/null || command -v chromium-browser > /dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium > /dev/null; \
	  else echo "Chromium is not installed: the browser tests will be skipped"; fi; }

bench: $(STAMP)  ## every benchmark and fault harness, one JSON line each
	@for name in mapping ingest end_to_end sick_destination memory faults nodes; do $(BIN)/python -m bench.$$name; done

RESOLVE = $(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url -q

lock: $(STAMP)  ## bring the lock in line with pyproject.toml; what is locked already keeps its version
	$(RESOLVE) -o requirements.lock

upgrade: $(STAMP)  ## renew every version of the lock
	$(RESOLVE) -U -o requirements.lock

# The lock says what we test; pyproject.toml says what a stranger gets. The newest and the oldest it allows must install and run.
ranges: $(STAMP)  ## install and run the package with the newest and the oldest versions that pyproject.toml allows
	@for versions in highest lowest-direct; do \
	  CARELANE_TEST_VERSIONS=$$versions $(BIN)/python -m pytest tests/packaging/test_stranger.py || exit 1; done

clean:  ## remove the environment; the demo's data stays in .carelane
	rm -rf $(VENV)
