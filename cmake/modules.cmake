# One static library fnl_<name> per folder of src/, in the order of the floors. What a module needs
# beside the libraries below (generated code, kernels compiled for several instruction sets) stands
# in cmake/module_<name>.cmake, which is included after its target is made.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

# fnl_pkg(NAME modules...): imported target PkgConfig::NAME, and the modules in FNL_PKGS for the
# pkg-config file of libfournil.
set(FNL_PKGS "")
macro(fnl_pkg name)
  if(NOT TARGET PkgConfig::${name})
    pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${ARGN})
    # A macro, so that it works at file level; the list of a function's caller is reached by parent.
    set_property(GLOBAL APPEND PROPERTY FNL_PKGS ${ARGN})
  endif()
endmacro()
fnl_pkg(JANSSON jansson)
fnl_pkg(YAML yaml-0.1)
fnl_pkg(ZLIB zlib)

# fnl_module(NAME deps...): library fnl_NAME from src/NAME/**.c. Dependencies that have no sources
# yet are left out.
function(fnl_module name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.c)
  if(name STREQUAL "cli")
    list(REMOVE_ITEM sources ${CMAKE_SOURCE_DIR}/src/cli/main.c)
  endif()
  if(NOT sources)
    return()
  endif()
  add_library(fnl_${name} STATIC ${sources})
  foreach(dependency ${ARGN})
    if(TARGET ${dependency} OR NOT dependency MATCHES "^fnl_")
      target_link_libraries(fnl_${name} PUBLIC ${dependency})
    endif()
  endforeach()
  include(${CMAKE_SOURCE_DIR}/cmake/module_${name}.cmake OPTIONAL)
  set_property(GLOBAL APPEND PROPERTY FNL_MODULES fnl_${name})
endfunction()

fnl_module(base Threads::Threads PkgConfig::JANSSON PkgConfig::YAML PkgConfig::ZLIB m)
fnl_module(device fnl_base ${CMAKE_DL_LIBS})
fnl_module(net fnl_base ${CMAKE_DL_LIBS})
fnl_module(data fnl_base)
fnl_module(fetch fnl_net fnl_base)
fnl_module(engine fnl_device fnl_base)
fnl_module(model fnl_engine fnl_base)
fnl_module(train fnl_model fnl_data fnl_engine fnl_device fnl_base)
fnl_module(api fnl_train fnl_model fnl_data fnl_engine fnl_base)
fnl_module(cli fnl_train fnl_model fnl_data fnl_engine fnl_fetch fnl_net fnl_device fnl_base)
