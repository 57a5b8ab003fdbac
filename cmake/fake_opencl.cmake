# tests/fake_opencl: a libOpenCL.so.1 for tests that passes calls on to the real one and can fail, in
# a folder of its own below the build folder; and one that is as old as OpenCL 1.1. Never installed.
foreach(which opencl opencl_old)
  add_library(fake_${which} MODULE ${CMAKE_SOURCE_DIR}/tests/fake_opencl/fake_opencl.c)
  target_include_directories(fake_${which} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_include_directories(fake_${which} SYSTEM PRIVATE ${FNL_OPENCL_INCLUDE})
  target_link_libraries(fake_${which} PRIVATE ${CMAKE_DL_LIBS})
  set_target_properties(fake_${which} PROPERTIES PREFIX "" OUTPUT_NAME libOpenCL SUFFIX .so.1
                        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fake/${which})
endforeach()
target_compile_definitions(fake_opencl_old PRIVATE FAKE_OPENCL_OLD)

# For programs that include tests/fake_opencl/fake_opencl.h.
add_library(fake_opencl_client INTERFACE)
target_compile_definitions(fake_opencl_client
                           INTERFACE FAKE_OPENCL_DIR="${CMAKE_BINARY_DIR}/fake/opencl"
                                     FAKE_OPENCL_OLD_DIR="${CMAKE_BINARY_DIR}/fake/opencl_old")
target_include_directories(fake_opencl_client SYSTEM INTERFACE ${FNL_OPENCL_INCLUDE})
target_link_libraries(fake_opencl_client INTERFACE ${CMAKE_DL_LIBS})
add_dependencies(fake_opencl_client fake_opencl fake_opencl_old)
