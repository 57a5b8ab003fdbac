# The ONNX schema of this system (Debian: libonnx-dev), compiled by protoc-c at build time.
fnl_pkg(PROTOBUF_C libprotobuf-c)
find_program(FNL_PROTOC_C protoc-c)
find_file(FNL_ONNX_PROTO NAMES onnx/onnx.proto onnx/onnx-ml.proto)
if(NOT FNL_PROTOC_C OR NOT FNL_ONNX_PROTO)
  message(FATAL_ERROR "protoc-c and onnx.proto are needed: apt install protobuf-c-compiler libonnx-dev")
endif()

set(schema ${CMAKE_BINARY_DIR}/schema)
add_custom_command(
  OUTPUT ${schema}/onnx.pb-c.c ${schema}/onnx.pb-c.h
  COMMAND ${CMAKE_COMMAND} -E make_directory ${schema}
  COMMAND ${CMAKE_COMMAND} -E copy ${FNL_ONNX_PROTO} ${schema}/onnx.proto
  COMMAND ${FNL_PROTOC_C} --proto_path=${schema} --c_out=${schema} onnx.proto
  DEPENDS ${FNL_ONNX_PROTO}
  VERBATIM)
set_source_files_properties(${schema}/onnx.pb-c.c PROPERTIES COMPILE_OPTIONS "-w")
target_sources(fnl_model PRIVATE ${schema}/onnx.pb-c.c ${schema}/onnx.pb-c.h)
target_include_directories(fnl_model SYSTEM PUBLIC ${schema})
target_link_libraries(fnl_model PUBLIC PkgConfig::PROTOBUF_C)

# Writes models and their outputs for tests/peers/onnxruntime_check.py.
add_executable(model_peer_tool EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/tests/model/peer_tool.c)
target_link_libraries(model_peer_tool PRIVATE fnl_model)
