# Tests. Each program runs with the checkout as its working directory; cmocka prints TAP, so that
# scripts/test.sh counts single tests and not programs.
enable_testing()
pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka)
set(FNL_TEST_ENVIRONMENT "CMOCKA_MESSAGE_OUTPUT=TAP"
    "POCL_CACHE_DIR=${CMAKE_BINARY_DIR}/pocl" "FOURNIL_CACHE=${CMAKE_BINARY_DIR}/cache"
    "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1"
    "UBSAN_OPTIONS=print_stacktrace=1"
    "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1"
    "LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/lsan.supp:print_suppressions=0")

function(fnl_add_test name)
  add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "${FNL_TEST_ENVIRONMENT}" TIMEOUT 600)
endfunction()

# tests/<module>/test_*.c: one program each, linked with its module (and what that leans on) and with
# the other sources of the folder, which are shared by the tests.
function(fnl_tests name)
  if(NOT TARGET fnl_${name})
    return()
  endif()
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${name}/test_*.c)
  file(GLOB shared CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${name}/*.c)
  if(tests)
    list(REMOVE_ITEM shared ${tests})
  endif()
  if(shared)
    add_library(${name}_shared STATIC ${shared})
    target_include_directories(${name}_shared PRIVATE ${CMAKE_SOURCE_DIR}/tests)
    target_link_libraries(${name}_shared PUBLIC fnl_${name} PkgConfig::CMOCKA m)
  endif()
  foreach(source ${tests})
    get_filename_component(test ${source} NAME_WE)
    set(target ${name}_${test})
    add_executable(${target} ${source})
    target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
    if(shared)
      target_link_libraries(${target} PRIVATE ${name}_shared)
    endif()
    target_link_libraries(${target} PRIVATE fnl_${name} PkgConfig::CMOCKA m)
    if(TARGET fake_cuda_client)
      target_link_libraries(${target} PRIVATE fake_cuda_client)
    endif()
    target_link_libraries(${target} PRIVATE fake_opencl_client)
    fnl_add_test(${name}.${test} ${target})
  endforeach()
endfunction()
include(cmake/fake_cuda.cmake)
include(cmake/fake_opencl.cmake)
if(CMOCKA_FOUND)
  foreach(module base device net data fetch engine model train api cli)
    fnl_tests(${module})
  endforeach()
  # What the interface gives is compared with what the modules below give, on the same small data.
  target_link_libraries(api_test_training PRIVATE train_shared)
endif()

# NVIDIA's own declarations, where they are, to compare ours with.
find_path(FNL_CUDA_INCLUDE cuda.h PATHS $ENV{CUDA_HOME}/include $ENV{CUDA_PATH}/include
          /usr/local/cuda/include)
mark_as_advanced(FNL_CUDA_INCLUDE)
if(FNL_CUDA_INCLUDE AND TARGET device_test_cuda_values)
  target_include_directories(device_test_cuda_values SYSTEM PRIVATE ${FNL_CUDA_INCLUDE})
  target_compile_definitions(device_test_cuda_values PRIVATE FNL_CUDA_H=<cuda.h>)
endif()

# tests/cli/*.sh: the program from outside.
if(TARGET fournil)
  file(GLOB scripts CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/cli/test_*.sh)
  foreach(script ${scripts})
    get_filename_component(test ${script} NAME_WE)
    fnl_add_test(cli.${test} sh ${script} $<TARGET_FILE:fournil> ${CMAKE_BINARY_DIR})
  endforeach()
endif()

# tools/: the checkers are tested on small good and bad trees.
file(GLOB scripts CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/tools/test_*.sh)
foreach(script ${scripts})
  get_filename_component(test ${script} NAME_WE)
  fnl_add_test(tools.${test} sh ${script})
endforeach()

# fuzz/fuzz_<x>.c: with FNL_FUZZ a libFuzzer program, else one that runs the corpus as a test.
get_property(modules GLOBAL PROPERTY FNL_MODULES)
list(REVERSE modules)
list(REMOVE_ITEM modules fnl_cli)
file(GLOB targets CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/fuzz/fuzz_*.c)
foreach(source ${targets})
  get_filename_component(target ${source} NAME_WE)
  string(REPLACE "fuzz_" "" corpus ${target})
  if(FNL_FUZZ)
    add_executable(${target} ${source})
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(${target} ${source} ${CMAKE_SOURCE_DIR}/fuzz/driver.c)
    fnl_add_test(fuzz.${corpus} ${target} ${CMAKE_SOURCE_DIR}/fuzz/corpus/${corpus})
  endif()
  target_link_libraries(${target} PRIVATE ${modules})
endforeach()

# bench/*.c: drivers of the benchmarks, beside the program.
file(GLOB drivers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/*.c)
if(TARGET fnl_train)
  foreach(source ${drivers})
    get_filename_component(target ${source} NAME_WE)
    add_executable(${target} ${source})
    target_link_libraries(${target} PRIVATE ${modules})
  endforeach()
endif()
