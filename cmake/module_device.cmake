
# OpenCL's loader is opened at run time; its headers are needed to build.
find_path(FNL_OPENCL_INCLUDE CL/cl.h)
if(NOT FNL_OPENCL_INCLUDE)
  message(FATAL_ERROR "CL/cl.h is needed: apt install opencl-c-headers")
endif()
target_include_directories(fnl_device SYSTEM PRIVATE ${FNL_OPENCL_INCLUDE})
