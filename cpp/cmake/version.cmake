# Sets vqvae_VERSION, which stands in one place: the Python package, in the checkout (below) or the wheel (above).
foreach(package IN ITEMS "../../vqvae_gluon" "../..")
  if(EXISTS "${CMAKE_CURRENT_LIST_DIR}/${package}/__init__.py")
    file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/${package}/__init__.py" vqvae_VERSION REGEX "^__version__ = ")
    string(REGEX REPLACE ".*\"(.+)\".*" "\\1" vqvae_VERSION "${vqvae_VERSION}")
    break()
  endif()
endforeach()
