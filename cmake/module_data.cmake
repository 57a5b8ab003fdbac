# PNG and JPEG of image folders. The loader's conversion loops are worth -O3; the file chooses its
# instruction set at run time.
fnl_pkg(SPNG spng)
fnl_pkg(TURBOJPEG libturbojpeg)
target_link_libraries(fnl_data PUBLIC PkgConfig::SPNG PkgConfig::TURBOJPEG)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/data/convert.c PROPERTIES COMPILE_OPTIONS
                              -O3)
endif()
