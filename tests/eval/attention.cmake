# Attention outputs over pruned caches of a trained model; needs the small engine.

find_package(Threads)
if(TARGET mini_engine_parts AND CMAKE_USE_PTHREADS_INIT)
    add_executable(eval_attention
        "${CMAKE_CURRENT_LIST_DIR}/attention.c"
        "${CMAKE_CURRENT_LIST_DIR}/attention_corrections.c"
        "${CMAKE_CURRENT_LIST_DIR}/attention_csv.c"
        "${CMAKE_CURRENT_LIST_DIR}/attention_fit.c"
        "${CMAKE_CURRENT_LIST_DIR}/attention_gap.c"
        "${CMAKE_CURRENT_LIST_DIR}/attention_methods.c"
        "${CMAKE_CURRENT_LIST_DIR}/attention_moments.c"
        "${CMAKE_CURRENT_LIST_DIR}/attention_options.c"
        "${CMAKE_CURRENT_LIST_DIR}/attention_scene.c"
        "${CMAKE_CURRENT_LIST_DIR}/attention_study.c"
        "${CMAKE_CURRENT_LIST_DIR}/attention_summary.c"
        "${CMAKE_CURRENT_LIST_DIR}/attention_tables.c"
        "${CMAKE_CURRENT_LIST_DIR}/attention_tally.c"
        "${CMAKE_CURRENT_LIST_DIR}/attention_views.c")
    csp_c_target(eval_attention)
    target_link_libraries(eval_attention PRIVATE mini_engine_parts Threads::Threads)
endif()
