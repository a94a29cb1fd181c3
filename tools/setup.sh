# Sourced by build.sh and test.sh: makes sure that .venv and the C++ program are there.
# Steps that are already done are skipped.

say() { printf '== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Prints the first suitable Python: MXNet 1.9.1 runs on 3.8 to 3.11, the package with MNIST from 3.10.
find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.10 python3 python; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 12))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "no Python 3.10 or 3.11 found, which MXNet 1.9.1 and the MNIST package need; install one and run: PYTHON=/path/to/python3.11 bash $0"
}

# System packages are detected by the files that they provide, so any way of installing them works.
missing_packages() {
  # The list is read to its end: a reader that stops at the first match ends ldconfig by SIGPIPE, and with pipefail a
  # library that is present would sometimes be reported as missing.
  local libraries
  libraries=$(PATH="$PATH:/usr/sbin:/sbin" ldconfig -p 2>/dev/null) || true
  has_library() { [[ $libraries == *"$1 "* ]]; }
  has_library libgomp.so.1 || echo libgomp1      # MXNet's threads
  has_library libGL.so.1 || echo libgl1          # OpenCV, which gluoncv imports
  has_library libglib-2.0.so.0 || echo libglib2.0-0
  command -v c++ >/dev/null || echo g++
  command -v make >/dev/null || echo make
  command -v cmake >/dev/null || echo cmake
  # The libraries of the C++ headers and the program; see cpp/cmake/dependencies.cmake.
  has_header() { [ -e "/usr/include/$1" ] || c++ -E -include "$1" -x c++ /dev/null >/dev/null 2>&1; }
  has_header zlib.h || echo zlib1g-dev
  has_header openssl/evp.h || echo libssl-dev
  has_header nlohmann/json.hpp || echo nlohmann-json3-dev
  has_header CLI/CLI.hpp || echo libcli11-dev
}

install_command="apt-get install -y --no-install-recommends"

# Installs packages with apt-get: apt_install "" PACKAGE... as root, apt_install sudo PACKAGE... as a user with sudo.
apt_install() {
  local as=$1
  shift
  say "installing $*"
  $as apt-get update -qq && $as env DEBIAN_FRONTEND=noninteractive $install_command "$@" >/dev/null
}

install_packages() {
  local as="" packages
  mapfile -t packages < <(missing_packages)
  [ ${#packages[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || fail "these system packages are missing (Debian's names): ${packages[*]}"
  if [ "$(id -u)" != 0 ]; then
    as=sudo
    sudo -n true 2>/dev/null || fail "system packages are missing; run: sudo $install_command ${packages[*]}"
  fi
  apt_install "$as" "${packages[@]}" || fail "this failed: ${as:+$as }$install_command ${packages[*]}"
}

install_python_packages() {
  local stamp=.venv/installed wanted
  wanted="$PWD $(cat pyproject.toml)"
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; then
    say "Python packages: already installed in .venv"
    return
  fi
  local python
  python=$(find_python) || exit 1
  say "Python packages: installing into .venv with $("$python" --version); this takes about a minute"
  rm -rf .venv
  "$python" -m venv .venv || fail "$python cannot make a virtual environment; on Debian run: apt-get install python3-venv"
  # Not compiled: Python does that to the few modules that are imported, and pip would do it to all, for half a minute.
  .venv/bin/python -m pip install -qq --no-compile --disable-pip-version-check -e '.[dev]' || fail "pip could not install the packages of pyproject.toml"
  printf '%s' "$wanted" >"$stamp"
}

build_program() {
  say "C++ program: building cpp/build/vqvae; the first time, this takes a minute or two"
  local log=cpp/build/build.log
  # A build folder contains absolute paths, so one that was made elsewhere is of no use.
  grep -qsxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD/cpp" cpp/build/CMakeCache.txt || rm -rf cpp/build
  mkdir -p cpp/build
  { cmake -S cpp -B cpp/build "-DPython3_EXECUTABLE=$PWD/.venv/bin/python" &&
    cmake --build cpp/build --parallel "$(nproc)"; } >"$log" 2>&1 || { cat "$log" >&2; fail "the C++ program does not build"; }
  grep -q 'Building CXX' "$log" || say "C++ program: already up to date"
}

# Needed only by the tests of the page and of the C++ headers, which are skipped without them.
install_test_programs() {
  local packages=()
  command -v doxygen >/dev/null || packages+=(doxygen)
  command -v pkg-config >/dev/null || packages+=(pkg-config)
  command -v clang++ >/dev/null || packages+=(clang libclang-rt-dev)
  command -v chromium >/dev/null || packages+=(chromium)
  command -v chromedriver >/dev/null || packages+=(chromium-driver)
  command -v npm >/dev/null || packages+=(npm)
  [ ${#packages[@]} -gt 0 ] || return 0
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt_install "" "${packages[@]}" || say "some tests will be skipped, for this failed: $install_command ${packages[*]}"
  else
    say "some tests will be skipped, for these packages are missing (Debian's names): ${packages[*]}"
  fi
}

set_up() {
  [ -w . ] || fail "$PWD cannot be written to, and everything is installed there; copy the checkout to a folder of your own"
  install_packages
  install_python_packages
  build_program
}
