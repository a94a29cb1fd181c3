# Finds what the headers need. Sets vqvae_LIBRARIES and MXNET_ROOT or, if something is missing, vqvae_FAULT: one
# sentence that says what to do.
#
# libmxnet comes with the Python package mxnet. It is looked for in MXNET_ROOT (a CMake or environment variable: the
# folder with libmxnet.so and include/) or, if that is not set, in a Python installation (Python3_EXECUTABLE, or the one
# that CMake finds).

set(vqvae_FAULT "")
set(vqvae_LIBRARIES vqvae_mxnet nlohmann_json::nlohmann_json OpenSSL::Crypto ZLIB::ZLIB Threads::Threads)

set(vqvae_HOW "give -DMXNET_ROOT=<the folder with libmxnet.so and include/> or -DPython3_EXECUTABLE=<a Python that has mxnet>")
if(NOT MXNET_ROOT AND NOT "$ENV{MXNET_ROOT}" STREQUAL "")
  set(MXNET_ROOT "$ENV{MXNET_ROOT}")
endif()
if(NOT MXNET_ROOT)
  find_package(Python3 QUIET COMPONENTS Interpreter)
  if(Python3_EXECUTABLE)
    execute_process(
      COMMAND "${Python3_EXECUTABLE}" -c
              "import importlib.util as u; print(u.find_spec('mxnet').submodule_search_locations[0], end='')"
      OUTPUT_VARIABLE MXNET_ROOT ERROR_QUIET)
    if(NOT MXNET_ROOT)
      set(vqvae_FAULT "${Python3_EXECUTABLE} has no mxnet: ${vqvae_HOW}.")
    endif()
  else()
    set(vqvae_FAULT "libmxnet is looked for in a Python, and there is none: ${vqvae_HOW}.")
  endif()
endif()
if(NOT vqvae_FAULT AND NOT EXISTS "${MXNET_ROOT}/libmxnet.so")
  set(vqvae_FAULT "No libmxnet.so in '${MXNET_ROOT}': ${vqvae_HOW}.")
endif()
if(NOT vqvae_FAULT AND NOT TARGET vqvae_mxnet)
  add_library(vqvae_mxnet SHARED IMPORTED)
  set_target_properties(vqvae_mxnet PROPERTIES IMPORTED_LOCATION "${MXNET_ROOT}/libmxnet.so"
                                               INTERFACE_INCLUDE_DIRECTORIES "${MXNET_ROOT}/include")
endif()

macro(vqvae_require package debian)
  find_package(${package} QUIET)
  if(NOT vqvae_FAULT AND NOT ${package}_FOUND)
    set(vqvae_FAULT "${package} is missing: install it (Debian's name: ${debian}).")
  endif()
endmacro()
vqvae_require(nlohmann_json nlohmann-json3-dev)  # the graphs and the manifest
vqvae_require(OpenSSL libssl-dev)                # SHA-256
vqvae_require(ZLIB zlib1g-dev)                   # the alpha channel of a PNG, which MXNet's decoder drops
vqvae_require(Threads libc6-dev)
