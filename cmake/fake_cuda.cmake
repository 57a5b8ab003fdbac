# tests/fake_cuda: a libcuda.so.1 and a libnvrtc for tests, in folders of their own below the build
# folder. Never installed. What runs the kernels, an OpenCL driver for the processor, is opened at run
# time.
set(fake_folder ${CMAKE_SOURCE_DIR}/tests/fake_cuda)
file(GLOB fake_kernels CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/engine/kernels/*.k
     ${fake_folder}/*.k)
file(GLOB gpu_headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/engine/kernels/*.kh)
set(fake_kernels ${CMAKE_SOURCE_DIR}/src/engine/kernels/dialect.h ${fake_kernels})
set(fake_table ${CMAKE_BINARY_DIR}/generated/fake_kernels.c)
add_custom_command(
  OUTPUT ${fake_table}
  COMMAND ${CMAKE_COMMAND} -DOUTPUT=${fake_table} -P ${CMAKE_SOURCE_DIR}/cmake/embed_kernels.cmake
          -- ${fake_kernels}
  DEPENDS ${fake_kernels} ${gpu_headers} ${CMAKE_SOURCE_DIR}/cmake/embed_kernels.cmake
  VERBATIM)
add_library(fake_cuda MODULE ${fake_folder}/fake_driver.c ${fake_folder}/fake_memory.c
            ${fake_folder}/fake_queue.c ${fake_folder}/fake_module.c ${fake_folder}/fake_cl.c
            ${fake_table})
target_include_directories(fake_cuda PRIVATE ${CMAKE_SOURCE_DIR}/tests)
target_include_directories(fake_cuda SYSTEM PRIVATE ${FNL_OPENCL_INCLUDE})
target_link_libraries(fake_cuda PRIVATE ${CMAKE_DL_LIBS})
set_target_properties(fake_cuda PROPERTIES PREFIX "" OUTPUT_NAME libcuda SUFFIX .so.1
                      LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fake/cuda)
add_library(fake_nvrtc MODULE ${fake_folder}/fake_nvrtc.c)
set_target_properties(fake_nvrtc PROPERTIES PREFIX "" OUTPUT_NAME libnvrtc SUFFIX .so.13
                      LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fake/nvrtc)

# For programs that include tests/fake_cuda/fake_cuda.h.
add_library(fake_cuda_client INTERFACE)
target_compile_definitions(fake_cuda_client
                           INTERFACE FAKE_CUDA_DIR="${CMAKE_BINARY_DIR}/fake/cuda"
                                     FAKE_NVRTC_DIR="${CMAKE_BINARY_DIR}/fake/nvrtc")
target_link_libraries(fake_cuda_client INTERFACE ${CMAKE_DL_LIBS})
add_dependencies(fake_cuda_client fake_cuda fake_nvrtc)
