# make install, libfournil (optional) and the Debian package.
option(FNL_INSTALL_LIBRARY "also install libfournil.a, its headers and its pkg-config file" OFF)
if(NOT TARGET fournil)
  return()
endif()
install(TARGETS fournil RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${FNL_SHARE}/ DESTINATION ${CMAKE_INSTALL_DATADIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(FILES README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY examples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples OPTIONAL
        FILES_MATCHING PATTERN "*.yaml")

# libfournil.a: the modules without the command line, in one archive.
if(FNL_INSTALL_LIBRARY)
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
    COMMAND ${CMAKE_AR} -M < ${CMAKE_BINARY_DIR}/libfournil.mri
    DEPENDS ${modules} ${CMAKE_BINARY_DIR}/libfournil.mri
    VERBATIM)
  add_custom_target(libfournil ALL DEPENDS ${CMAKE_BINARY_DIR}/libfournil.a)

  get_property(FNL_PKGS GLOBAL PROPERTY FNL_PKGS)
  list(JOIN FNL_PKGS " " FNL_REQUIRES)
  get_property(FNL_LINKED GLOBAL PROPERTY FNL_LINKED)
  list(JOIN FNL_LINKED " " FNL_LIBS)
  configure_file(packaging/fournil.pc.in ${CMAKE_BINARY_DIR}/fournil.pc @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/libfournil.a DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(FILES ${CMAKE_BINARY_DIR}/fournil.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  foreach(module ${modules})
    string(REPLACE "fnl_" "" folder ${module})
    install(DIRECTORY src/${folder}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fournil/${folder}
            FILES_MATCHING PATTERN "*.h" PATTERN "*_int.h" EXCLUDE)
  endforeach()
endif()

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
