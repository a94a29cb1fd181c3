# find_package(vqvae 0.2 REQUIRED) provides the target vqvae::vqvae, from an installed prefix, the wheel (vqvae_DIR is
# what python -m vqvae_gluon --cmake-dir prints) or a checkout. Sets vqvae_INCLUDE_DIR, and MXNET_ROOT, the folder of
# libmxnet.
include("${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake")
if(vqvae_FAULT)
  set(vqvae_FOUND FALSE)
  set(vqvae_NOT_FOUND_MESSAGE "${vqvae_FAULT}")
  return()
endif()

get_filename_component(vqvae_INCLUDE_DIR "${CMAKE_CURRENT_LIST_DIR}/../include" ABSOLUTE)
if(NOT EXISTS "${vqvae_INCLUDE_DIR}/vqvae/codec.hpp")  # <prefix>/share/cmake/vqvae
  get_filename_component(vqvae_INCLUDE_DIR "${CMAKE_CURRENT_LIST_DIR}/../../../include" ABSOLUTE)
endif()

if(NOT TARGET vqvae::vqvae)
  add_library(vqvae::vqvae INTERFACE IMPORTED)
  target_include_directories(vqvae::vqvae INTERFACE "${vqvae_INCLUDE_DIR}")
  target_compile_features(vqvae::vqvae INTERFACE cxx_std_17)
  target_link_libraries(vqvae::vqvae INTERFACE ${vqvae_LIBRARIES})
endif()
