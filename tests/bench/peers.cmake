# What peers.py loads: the library's side of a comparison with torch.

option(CSP_BUILD_BENCH_PEERS "Build what compares libcsp with torch" OFF)
if(NOT CSP_BUILD_BENCH_PEERS)
    return()
endif()

add_library(csp_peers MODULE "${CMAKE_CURRENT_LIST_DIR}/peers_job.c")
csp_c_target(csp_peers)
target_link_libraries(csp_peers PRIVATE ${csp_exporting})
