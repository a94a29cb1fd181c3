#!/usr/bin/env bash
# Sets up what the tests need and runs every check and test. Prints at the end how long each part took.
#
#   bash test.sh                     everything
#   bash test.sh src/test/nn -k ema  arguments are passed to pytest
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. tools/setup.sh

install_packages
install_test_programs &  # while Python's packages are installed and the program is built
set_up
wait
status=0 times="set-up $SECONDS s"
part() {
  local name=$1 begin=$SECONDS
  shift
  "$@" || status=1
  times+=", $name $((SECONDS - begin)) s"
}

part ruff .venv/bin/ruff check .
part mypy .venv/bin/mypy
cpp=(cpp/{app,examples,test}/*.cpp benchmarks/*.cpp)
part clang-format .venv/bin/clang-format --dry-run --Werror "${cpp[@]}" cpp/{app,test,include/vqvae{,/detail}}/*.hpp
tidy() { printf '%s\0' "${cpp[@]}" | xargs -0 -n 1 -P "$(nproc)" .venv/bin/clang-tidy -p cpp/build --quiet; }
part clang-tidy tidy
# One process per core takes one test file after another, because most tests keep only one core busy.
part pytest .venv/bin/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --durations 10 "$@"
part ctest ctest --test-dir cpp/build --output-on-failure --parallel "$(nproc)"
say "time: $times"
exit $status
