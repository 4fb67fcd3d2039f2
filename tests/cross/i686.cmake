# 32-bit x86: a size_t of 32 bits, scalar kernels.  Floats by SSE, as everywhere else: the
# x87's are of other precision.  Static, as x86-64 runs that without a loader or qemu.
set(CMAKE_SYSTEM_PROCESSOR i686)
include("${CMAKE_CURRENT_LIST_DIR}/linux.cmake")
set(CMAKE_C_FLAGS_INIT "-msse2 -mfpmath=sse")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static")
if(CMAKE_HOST_SYSTEM_PROCESSOR STREQUAL "x86_64")
    unset(CMAKE_CROSSCOMPILING_EMULATOR)
else()
    set(CMAKE_CROSSCOMPILING_EMULATOR qemu-i386-static)
endif()
