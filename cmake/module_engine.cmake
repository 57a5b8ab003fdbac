# The CPU kernels (src/engine/backend/cpu/isa/*.c) are compiled once per instruction set; every
# other file of the module runs on any CPU.
get_target_property(engine_sources fnl_engine SOURCES)
list(FILTER engine_sources EXCLUDE REGEX "/backend/cpu/isa/")
set_property(TARGET fnl_engine PROPERTY SOURCES ${engine_sources})

file(GLOB kernel_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/engine/backend/cpu/isa/*.c)
# fnl_kernels(ISA SOURCES options...)
function(fnl_kernels isa sources)
  add_library(fnl_kernels_${isa} OBJECT ${${sources}})
  target_compile_definitions(fnl_kernels_${isa} PRIVATE FNL_ISA=${isa})
  # no-psabi: vectors wider than the baseline's registers are passed between inlined functions only
  target_compile_options(fnl_kernels_${isa} PRIVATE -Wno-psabi ${ARGN})
  target_sources(fnl_engine PRIVATE $<TARGET_OBJECTS:fnl_kernels_${isa}>)
endfunction()

# What any CPU runs is for machines without vectors to speak of: it need not be unrolled too.
fnl_kernels(generic kernel_sources -O2)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  fnl_kernels(avx2 kernel_sources -O3 -mavx2 -mfma)
  set(avx512 -O3 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma)
  fnl_kernels(avx512 kernel_sources ${avx512})
  # The products in bfloat16 alone; isa/kernel_list.h takes the rest from avx512.
  set(bf16_sources ${kernel_sources})
  list(FILTER bf16_sources INCLUDE REGEX "/(bf16[a-z0-9_]*|table)[.]c$")
  fnl_kernels(avx512bf16 bf16_sources ${avx512} -mavx512bf16)
  target_compile_definitions(fnl_engine PRIVATE FNL_HAVE_X86_KERNELS=1)
endif()

# bench/kernels: `ninja floor && taskset -c 1 ./floor`, where the peers' libraries are installed.
find_library(FNL_ONEDNN dnnl)
find_library(FNL_OPENBLAS NAMES openblas libopenblas.so.0)
mark_as_advanced(FNL_ONEDNN FNL_OPENBLAS)
if(FNL_ONEDNN AND FNL_OPENBLAS)
  file(GLOB bench_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/kernels/*.c)
  add_executable(floor EXCLUDE_FROM_ALL ${bench_sources})
  target_link_libraries(floor PRIVATE fnl_engine ${FNL_ONEDNN} ${FNL_OPENBLAS} m)
endif()

# The GPU kernels' sources, as text.
file(GLOB gpu_kernels CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/engine/kernels/*.k)
set(gpu_kernels ${CMAKE_SOURCE_DIR}/src/engine/kernels/dialect.h ${gpu_kernels})
file(GLOB gpu_headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/engine/kernels/*.kh)
set(embedded ${CMAKE_BINARY_DIR}/generated/kernels.c)
add_custom_command(
  OUTPUT ${embedded}
  COMMAND ${CMAKE_COMMAND} -DOUTPUT=${embedded} -P ${CMAKE_SOURCE_DIR}/cmake/embed_kernels.cmake --
          ${gpu_kernels}
  DEPENDS ${gpu_kernels} ${gpu_headers} ${CMAKE_SOURCE_DIR}/cmake/embed_kernels.cmake
  VERBATIM)
target_sources(fnl_engine PRIVATE ${embedded})
