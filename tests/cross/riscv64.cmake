# 64-bit RISC-V: scalar kernels.
set(CMAKE_SYSTEM_PROCESSOR riscv64)
include("${CMAKE_CURRENT_LIST_DIR}/linux.cmake")
