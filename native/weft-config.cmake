# find_package(weft) gives weft::weft, the shared library, and weft::static, libweft.a.
get_filename_component(_weft_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

if(NOT TARGET weft::weft)
  add_library(weft::weft SHARED IMPORTED)
  set_target_properties(weft::weft PROPERTIES
    IMPORTED_LOCATION "${_weft_prefix}/lib/libweft.so"
    IMPORTED_SONAME libweft.so.0
    INTERFACE_INCLUDE_DIRECTORIES "${_weft_prefix}/include")
endif()

if(NOT TARGET weft::static)
  add_library(weft::static STATIC IMPORTED)
  set_target_properties(weft::static PROPERTIES
    IMPORTED_LOCATION "${_weft_prefix}/lib/libweft.a"
    IMPORTED_LINK_INTERFACE_LIBRARIES "m;pthread;dl;-Wl,--eh-frame-hdr"
    INTERFACE_INCLUDE_DIRECTORIES "${_weft_prefix}/include")
endif()

unset(_weft_prefix)
