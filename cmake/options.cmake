# Compiler settings shared by all targets.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release or Debug" FORCE)
endif()

set(FNL_SANITIZE "" CACHE STRING "sanitizers: address,undefined or thread")
option(FNL_ARENA_MALLOC "each arena item is a malloc of its own, so that sanitizers see it" OFF)
option(FNL_FUZZ "fuzz targets with libFuzzer instead of the corpus driver (clang only)" OFF)
option(FNL_WERROR "warnings are errors" ON)

set(FNL_OPTIMIZE "" CACHE STRING "-O level; by default 2 for Release, 1 with sanitizers, else 0")
if(NOT FNL_OPTIMIZE STREQUAL "")
  set(optimize ${FNL_OPTIMIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  set(optimize 2)
elseif(FNL_SANITIZE)
  set(optimize 1)
else()
  set(optimize 0)
endif()
# -g costs nothing at run time and make install strips it.
set(CMAKE_C_FLAGS_RELEASE "-O${optimize} -g -DNDEBUG")
set(CMAKE_C_FLAGS_DEBUG "-O${optimize} -g")

add_compile_definitions(_GNU_SOURCE FNL_VERSION="${PROJECT_VERSION}")
if(FNL_ARENA_MALLOC)
  add_compile_definitions(FNL_ARENA_MALLOC)
endif()

# -ffp-contract=off: a multiply and an add give the same bits in every build and in every ONNX
# runtime; kernels that want a fused multiply-add say so by intrinsic.
# Missing initializers are zero by the language, and our tables rest on it.
add_compile_options(-Wall -Wextra -Wno-missing-field-initializers -Wshadow -Wconversion
                    -Wmissing-prototypes -Wstrict-prototypes -ffp-contract=off -fno-math-errno
                    -fvisibility=hidden -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections)
if(FNL_WERROR)
  add_compile_options(-Werror)
endif()
if(CMAKE_C_COMPILER_ID MATCHES "Clang")
  add_compile_options(-Wno-unknown-warning-option -Wno-gnu-zero-variadic-macro-arguments)
endif()
add_link_options(-Wl,--gc-sections -Wl,--as-needed)

if(FNL_SANITIZE)
  add_compile_options(-fsanitize=${FNL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${FNL_SANITIZE})
  # gcc guesses at these two from what its optimiser sees, which instrumentation disturbs; the
  # release build has them on.
  add_compile_options(-Wno-format-truncation -Wno-maybe-uninitialized)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  # Every parser of ours reads files from strangers.
  add_compile_options(-fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  add_link_options(-Wl,-z,relro)
endif()
if(FNL_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
include_directories(${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
