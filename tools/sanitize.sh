#!/usr/bin/env bash
# Builds the C++ tests with AddressSanitizer and UndefinedBehaviorSanitizer and runs them (after bash build.sh).
#
#   bash tools/sanitize.sh           with GCC
#   CXX=clang++ bash tools/sanitize.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=cpp/build/sanitized
cmake -S cpp -B "$build" -DVQVAE_SANITIZE=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DPython3_EXECUTABLE=$PWD/.venv/bin/python"
cmake --build "$build" --parallel "$(nproc)"
# libmxnet is not instrumented and allocates what it frees elsewhere: only the allocators of our code can be compared.
export ASAN_OPTIONS=detect_leaks=1:alloc_dealloc_mismatch=0:detect_container_overflow=0
export LSAN_OPTIONS="suppressions=$PWD/cpp/test/leaks.supp:print_suppressions=0"
export UBSAN_OPTIONS=print_stacktrace=1
ctest --test-dir "$build" --output-on-failure
