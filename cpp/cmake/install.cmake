# cmake --install cpp/build --prefix P installs the headers, the program and its model, and the files that let CMake and
# pkg-config find them. The result can be moved, except for the paths to libmxnet.
include(CMakePackageConfigHelpers)
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/vqvaeConfigVersion.cmake" COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
string(REPLACE " " "\\ " vqvae_ESCAPED_ROOT "${MXNET_ROOT}")  # as pkg-config wants it
configure_file(cmake/vqvae.pc.in vqvae.pc @ONLY)

install(TARGETS vqvae RUNTIME DESTINATION bin)
install(DIRECTORY include/vqvae DESTINATION include)
install(FILES cmake/vqvaeConfig.cmake cmake/dependencies.cmake "${PROJECT_BINARY_DIR}/vqvaeConfigVersion.cmake"
        DESTINATION share/cmake/vqvae)
install(FILES "${PROJECT_BINARY_DIR}/vqvae.pc" DESTINATION share/pkgconfig)
# As in the wheel; see pyproject.toml.
install(DIRECTORY "${PRETRAINED}/" DESTINATION share/vqvae/pre-trained
        FILES_MATCHING PATTERN "manifest.json" PATTERN "model_0_newest*" PATTERN "prior" EXCLUDE)
