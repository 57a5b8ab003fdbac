# The program, and what it prints about itself: man page, shell completion.
if(NOT TARGET fnl_cli OR NOT EXISTS ${CMAKE_SOURCE_DIR}/src/cli/main.c)
  return()
endif()
add_executable(fournil ${CMAKE_SOURCE_DIR}/src/cli/main.c)
target_link_libraries(fournil PRIVATE fnl_cli)

# One generated file: `fournil help <arguments>` into OUTPUT.
function(fnl_printed output)
  get_filename_component(folder ${output} DIRECTORY)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
    COMMAND fournil help ${ARGN} > ${output}.part
    COMMAND ${CMAKE_COMMAND} -E rename ${output}.part ${output}
    DEPENDS fournil
    VERBATIM)
  set_property(GLOBAL APPEND PROPERTY FNL_PRINTED ${output})
endfunction()
set(FNL_SHARE ${CMAKE_BINARY_DIR}/share)
fnl_printed(${FNL_SHARE}/man/man1/fournil.1 --man)
fnl_printed(${FNL_SHARE}/bash-completion/completions/fournil --completion bash)
fnl_printed(${FNL_SHARE}/zsh/vendor-completions/_fournil --completion zsh)
fnl_printed(${FNL_SHARE}/fish/vendor_completions.d/fournil.fish --completion fish)
# (A program built for another machine cannot be run here: then only the program is built.)
get_property(printed GLOBAL PROPERTY FNL_PRINTED)
if(NOT CMAKE_CROSSCOMPILING)
  add_custom_target(printed ALL DEPENDS ${printed})
endif()
