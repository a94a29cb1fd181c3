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
# libmxnet is not instrumented, so its containers and allocators cannot be checked. It requests as much memory as a
# damaged file says and handles a failed allocation, so allocations must be allowed to fail here. ASan keeps freed
# memory in quarantine, which threads_test would mistake for growth, so the quarantine is kept small.
export ASAN_OPTIONS=alloc_dealloc_mismatch=0:detect_container_overflow=0:allocator_may_return_null=1:quarantine_size_mb=1
export LSAN_OPTIONS="suppressions='$PWD/cpp/test/leaks.supp':print_suppressions=0"
export UBSAN_OPTIONS=print_stacktrace=1
ctest --test-dir "$build" --output-on-failure
