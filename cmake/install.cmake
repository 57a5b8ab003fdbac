# make install, libfournil (optional) and the Debian package.
if(NOT TARGET fournil)
  return()
endif()
install(TARGETS fournil RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${FNL_SHARE}/ DESTINATION ${CMAKE_INSTALL_DATADIR} OPTIONAL)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
# As they stand in the sources, so that links between them hold.
install(FILES README.md CHANGELOG.md CONTRIBUTING.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs FILES_MATCHING PATTERN "*.md")
install(DIRECTORY examples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples OPTIONAL
        FILES_MATCHING PATTERN "*.yaml")

# libfournil.a: the public functions of include/fournil/ and what they need, as one object in which
# every hidden symbol has become local. So the only global names are those of the public headers, and
# a program may have functions, or a protobuf schema, named as ours. Built and installed only when
# asked for: cmake --build DIR --target libfournil && cmake --install DIR --component library.
get_property(modules GLOBAL PROPERTY FNL_MODULES)
list(REMOVE_ITEM modules fnl_cli)
set(archives "")
foreach(module ${modules})
  list(APPEND archives $<TARGET_FILE:${module}>)
endforeach()
# The roots: what the headers declare. A declaration begins with FNL_API and its name on one line.
file(GLOB public_headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/include/fournil/*.h)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${public_headers})
set(roots "")
foreach(header ${public_headers})
  file(STRINGS ${header} declarations REGEX "^FNL_API ")
  foreach(declaration ${declarations})
    string(REGEX REPLACE ".*(fnl_[a-z_]+)[(].*" "-Wl,-u,\\1" root "${declaration}")
    list(APPEND roots ${root})
  endforeach()
endforeach()
set(library_object ${CMAKE_BINARY_DIR}/libfournil.o)
add_custom_command(
  OUTPUT ${CMAKE_BINARY_DIR}/libfournil.a
  COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -Wl,--gc-sections ${roots} -o ${library_object}
          -Wl,--start-group ${archives} -Wl,--end-group
  COMMAND ${CMAKE_OBJCOPY} --localize-hidden --strip-debug ${library_object}
  COMMAND ${CMAKE_COMMAND} -E rm -f ${CMAKE_BINARY_DIR}/libfournil.a
  COMMAND ${CMAKE_AR} rcs ${CMAKE_BINARY_DIR}/libfournil.a ${library_object}
  COMMAND ${CMAKE_COMMAND} -E rm -f ${library_object}
  DEPENDS ${modules} ${public_headers}
  VERBATIM)
add_custom_target(libfournil DEPENDS ${CMAKE_BINARY_DIR}/libfournil.a)

get_property(FNL_PKGS GLOBAL PROPERTY FNL_PKGS)
list(JOIN FNL_PKGS " " FNL_REQUIRES)
string(REGEX REPLACE "[^/]+" ".." FNL_PC_UP "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
set(library COMPONENT library EXCLUDE_FROM_ALL)
configure_file(packaging/fournil.pc.in ${CMAKE_BINARY_DIR}/fournil.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/libfournil.a DESTINATION ${CMAKE_INSTALL_LIBDIR} ${library})
install(FILES ${CMAKE_BINARY_DIR}/fournil.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig ${library})
install(DIRECTORY include/fournil/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fournil ${library}
        FILES_MATCHING PATTERN "*.h")
install(DIRECTORY examples/c/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples/c ${library}
        FILES_MATCHING PATTERN "*.c")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME fournil)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The Fournil authors <fournil@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "train, evaluate and export neural networks from one YAML file")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# Opened at run time, by `fournil data fetch` alone.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libcurl4")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "dataset-fashion-mnist")
include(CPack)
