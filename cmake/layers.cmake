# One library per folder of src/. The order in which they are declared is the
# dependency order: a library may link only libraries declared before it, and
# never a sibling component. Each library sees the headers of what it links and
# of nothing else, because its include path is a folder of links made here; so
# an include that points upward does not compile.

find_package(GTest REQUIRED)

# The components of the infrastructure diagram: they never see each other.
set(TERRACE_COMPONENTS lb web app database firewall certificates dns monitor)

function(terrace_check_link name dependency)
  if(NOT TARGET ${dependency})
    message(FATAL_ERROR "src/${name} links ${dependency}, which is declared later: links point downward only")
  endif()
  if(name IN_LIST TERRACE_COMPONENTS AND dependency IN_LIST TERRACE_COMPONENTS)
    message(FATAL_ERROR "src/${name} links its sibling ${dependency}: components never include each other")
  endif()
endfunction()

# terrace_library(NAME LINKS folder… LIBRARIES external… SOURCES … TESTS … FUZZERS …)
# TESTS become one executable NAME_test. A fuzzer x_fuzz.cc becomes the target
# x_fuzz with its corpus in src/NAME/corpus/x/.
function(terrace_library name)
  cmake_parse_arguments(ARG "" "" "LINKS;LIBRARIES;SOURCES;TESTS;FUZZERS" ${ARGN})
  set(links ${CMAKE_BINARY_DIR}/include/${name})
  file(MAKE_DIRECTORY ${links})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${links}/${name} SYMBOLIC)

  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${links})
  foreach(dependency IN LISTS ARG_LINKS)
    terrace_check_link(${name} ${dependency})
  endforeach()
  target_link_libraries(${name} PUBLIC ${ARG_LINKS} PRIVATE ${ARG_LIBRARIES})

  terrace_headers_alone(${name})
  if(TERRACE_SANITIZE STREQUAL "thread")
    # They replace operator new to count; TSan's runtime has one of its own.
    list(FILTER ARG_TESTS EXCLUDE REGEX "allocation_test\\.cc$")
  endif()
  if(ARG_TESTS)
    add_executable(${name}_test ${ARG_TESTS})
    target_link_libraries(${name}_test PRIVATE ${name} ${ARG_LIBRARIES} GTest::gmock GTest::gtest_main)
    target_compile_definitions(${name}_test PRIVATE TERRACE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    add_test(NAME ${name} COMMAND ${name}_test)
  endif()
  if(TERRACE_FUZZERS)
    foreach(file IN LISTS ARG_FUZZERS)
      get_filename_component(fuzzer ${file} NAME_WE)
      add_executable(${fuzzer} ${file})
      target_link_libraries(${fuzzer} PRIVATE ${name})
      target_link_options(${fuzzer} PRIVATE -fsanitize=fuzzer)
    endforeach()
  endif()
endfunction()

# Every header compiles alone: one empty translation unit per header.
function(terrace_headers_alone name)
  file(GLOB headers CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} *.h)
  set(units)
  foreach(header IN LISTS headers)
    set(unit ${CMAKE_BINARY_DIR}/headers/${name}/${header}.cc)
    if(NOT EXISTS ${unit})
      file(WRITE ${unit} "#include \"${name}/${header}\"\n")
    endif()
    list(APPEND units ${unit})
  endforeach()
  if(units AND NOT TERRACE_FUZZERS)
    add_library(${name}_headers OBJECT ${units})
    target_link_libraries(${name}_headers PRIVATE ${name})
  endif()
endfunction()
