# For the checkout and the wheel. An installed prefix has a generated file in place of this one.
include("${CMAKE_CURRENT_LIST_DIR}/version.cmake")
include(CMakePackageConfigHelpers)
set(vqvae_VERSION_FILE "${CMAKE_BINARY_DIR}/CMakeFiles/vqvaeConfigVersion.cmake")
write_basic_package_version_file(
  "${vqvae_VERSION_FILE}" VERSION "${vqvae_VERSION}" COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
include("${vqvae_VERSION_FILE}")
