# libcurl is opened at run time, and only by downloads: linking it would cost every start of the
# program milliseconds. Its header is needed to build.
find_path(FNL_CURL_INCLUDE curl/curl.h)
if(NOT FNL_CURL_INCLUDE)
  message(FATAL_ERROR "curl/curl.h is needed: apt install libcurl4-openssl-dev")
endif()
target_include_directories(fnl_net SYSTEM PRIVATE ${FNL_CURL_INCLUDE})
