# Sets vqvae_VERSION from the only place that defines it, the Python package: in the checkout (first path) or the wheel
# (second).
foreach(package IN ITEMS "../../vqvae_gluon" "../..")
  if(EXISTS "${CMAKE_CURRENT_LIST_DIR}/${package}/__init__.py")
    file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/${package}/__init__.py" vqvae_VERSION REGEX "^__version__ = ")
    string(REGEX REPLACE ".*\"(.+)\".*" "\\1" vqvae_VERSION "${vqvae_VERSION}")
    break()
  endif()
endforeach()
