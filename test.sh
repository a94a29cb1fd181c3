#!/usr/bin/env bash
# Sets up what the tests need and runs every test: pytest, then ctest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. tools/setup.sh

set_up
install_test_programs
status=0
.venv/bin/ruff check . || status=1
.venv/bin/python -m pytest "$@" || status=1
ctest --test-dir cpp/build --output-on-failure || status=1
exit $status
