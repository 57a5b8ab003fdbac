# make install, libfournil (optional) and the Debian package.
if(NOT TARGET fournil)
  return()
endif()
install(TARGETS fournil RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${FNL_SHARE}/ DESTINATION ${CMAKE_INSTALL_DATADIR} OPTIONAL)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(FILES README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY examples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples OPTIONAL
        FILES_MATCHING PATTERN "*.yaml")

# libfournil.a: the modules without the command line, in one archive. Built and installed only when
# asked for: cmake --build DIR --target libfournil && cmake --install DIR --component library.
get_property(modules GLOBAL PROPERTY FNL_MODULES)
list(REMOVE_ITEM modules fnl_cli)
set(script "create libfournil.a\n")
foreach(module ${modules})
  string(APPEND script "addlib $<TARGET_FILE:${module}>\n")
endforeach()
string(APPEND script "save\nend\n")
file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/libfournil.mri CONTENT "${script}")
add_custom_command(
  OUTPUT ${CMAKE_BINARY_DIR}/libfournil.a
  COMMAND ${CMAKE_COMMAND} -E rm -f libfournil.a
  COMMAND ${CMAKE_AR} -M < ${CMAKE_BINARY_DIR}/libfournil.mri
  DEPENDS ${modules} ${CMAKE_BINARY_DIR}/libfournil.mri
  VERBATIM)
add_custom_target(libfournil DEPENDS ${CMAKE_BINARY_DIR}/libfournil.a)

get_property(FNL_PKGS GLOBAL PROPERTY FNL_PKGS)
list(JOIN FNL_PKGS " " FNL_REQUIRES)
string(REGEX REPLACE "[^/]+" ".." FNL_PC_UP "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
set(library COMPONENT library EXCLUDE_FROM_ALL)
configure_file(packaging/fournil.pc.in ${CMAKE_BINARY_DIR}/fournil.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/libfournil.a DESTINATION ${CMAKE_INSTALL_LIBDIR} ${library})
install(FILES ${CMAKE_BINARY_DIR}/fournil.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig ${library})
foreach(module ${modules})
  string(REPLACE "fnl_" "" folder ${module})
  install(DIRECTORY src/${folder}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fournil/${folder}
          ${library} FILES_MATCHING PATTERN "*.h" PATTERN "*_int.h" EXCLUDE PATTERN "isa" EXCLUDE)
endforeach()

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
