# OpenCL's loader is opened at run time; its headers are needed to build.
find_path(FNL_OPENCL_INCLUDE CL/cl.h)
if(NOT FNL_OPENCL_INCLUDE)
  message(FATAL_ERROR "CL/cl.h is needed: apt install opencl-c-headers")
endif()
target_include_directories(fnl_device SYSTEM PRIVATE ${FNL_OPENCL_INCLUDE})

# PTX of the GPU kernels, made now, for machines that have a driver and no NVRTC.
set(FNL_EMBED_PTX AUTO CACHE STRING
    "PTX of the GPU kernels in the program: AUTO (where NVRTC is installed), ON or OFF")
set_property(CACHE FNL_EMBED_PTX PROPERTY STRINGS AUTO ON OFF)
string(TOLOWER "${FNL_EMBED_PTX}" embed)
if(NOT embed MATCHES "^(auto|on|off)$")
  message(FATAL_ERROR "FNL_EMBED_PTX is AUTO, ON or OFF, not ${FNL_EMBED_PTX}")
endif()
# (A tool for another machine cannot run here, and NVRTC is not made for ThreadSanitizer.)
set(ptx_table ${CMAKE_BINARY_DIR}/generated/embedded_ptx.c)
if(CMAKE_CROSSCOMPILING)
  file(WRITE ${ptx_table} "#include \"device/cuda/embedded.h\"\n#include <stddef.h>\n"
       "const char fnl__cuda_embedded_by[] = \"\";\n"
       "const struct fnl__cuda_embedded fnl__cuda_embedded[] = {{NULL, NULL, NULL, 0, 0}};\n")
else()
  if(FNL_SANITIZE MATCHES "thread")
    set(embed off)
  endif()
  # generated/kernels.c: the kernels' sources, made in module_engine.cmake
  add_executable(embed_ptx ${CMAKE_SOURCE_DIR}/tools/embed_ptx.c
                 ${CMAKE_SOURCE_DIR}/src/device/cuda/nvrtc.c ${CMAKE_SOURCE_DIR}/src/device/library.c
                 ${CMAKE_SOURCE_DIR}/src/engine/kernels/variants.c
                 ${CMAKE_BINARY_DIR}/generated/kernels.c)
  target_link_libraries(embed_ptx PRIVATE fnl_base ${CMAKE_DL_LIBS})
  add_custom_command(
    OUTPUT ${ptx_table}
    COMMAND ${CMAKE_COMMAND} -E env ASAN_OPTIONS=detect_leaks=0 $<TARGET_FILE:embed_ptx> ${embed}
            ${ptx_table}
    DEPENDS embed_ptx
    VERBATIM)
endif()
target_sources(fnl_device PRIVATE ${ptx_table})
