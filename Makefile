# Shortcuts around CMake.  Missing tools are installed where .ci/need may do that.

.DEFAULT_GOAL := help
.PHONY: help demo test test-report install-test test-engine test-engine-real cross coverage \
    fuzz fuzz-afl canary \
    lint symbols abi sanitize guard-pages differential huge faults \
    bench bench-peers bench-scaling eval mutate soak format format-check clean

JOBS := $(shell nproc 2>/dev/null || echo 2)
SOURCES = $(wildcard include/*.h src/*.[ch] src/cli/*.[ch] src/cli/*/*.[ch] examples/*.[ch] \
    examples/*.cpp tests/*.[ch] \
    tests/bench/*.[ch] tests/bench/*.cpp tests/engine/*.[ch] tests/eval/*.[ch] \
    tests/mini_engine/*.[ch] tests/cli/*.[ch] tests/fuzz/*.[ch] tests/soak/*.[ch] \
    examples/*/*.[ch])

# CMake's own make must not hear of this one.
CMAKE = env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL cmake

# The end of a command that is silent unless it fails.
QUIETLY = >build/log 2>&1 </dev/null || { cat build/log; false; }

help:
	@echo 'make demo          prune a synthetic and a real prompt, print what is lost'
	@echo 'make test          build and run every test'
	@echo 'make test-report   look at reports of csp in Chromium, which is installed'
	@echo 'make install-test  build programs against the installed library'
	@echo 'make test-engine   prune the cache of a real llama.cpp, which is downloaded'
	@echo 'make test-engine-real   the same with a language model and real text'
	@echo 'make eval          answers of a trained model by method and budget; SHARED= is'
	@echo '                   the folder that has it, tinyvlm/'
	@echo 'make cross         library and tool on AArch64, RISC-V, big-endian and 32 bits, emulated'
	@echo 'make coverage      lines and branches of src/ that the tests reach'
	@echo 'make sanitize      every test under five sanitizers, some under valgrind'
	@echo 'make guard-pages   every kernel where memory ends, at many places'
	@echo 'make differential  DIFFERENTIAL_N=100000 seeds by tier and type against the oracle'
	@echo 'make huge          tensors and files of more than 2^32 elements'
	@echo 'make faults        allocations and system calls fail, each in turn'
	@echo 'make lint          what clang-tidy, cppcheck, scan-build, gcc find'
	@echo 'make symbols       exports, imports, state, stack, hardening, same bytes twice'
	@echo 'make abi           the shared library against that of the last tag'
	@echo 'make fuzz          run each fuzzer for FUZZ_SECONDS=, 60 if not given'
	@echo 'make fuzz-afl      the readers of files by another engine, AFL++'
	@echo 'make canary        see tests fail on a library with a mistake'
	@echo 'make mutate        how many of MUTANTS=300 small changes of src/ the tests see'
	@echo 'make soak          random load for SOAK_MINUTES=10, memory and times watched'
	@echo 'make bench         speed against memory, memcpy, sgemm, nth_element, oneDNN;'
	@echo '                   options in BENCH=, such as BENCH=--quick or BENCH=--help'
	@echo 'make bench-scaling time and memory by tokens, heads, window and modalities,'
	@echo '                   with pictures in build/bench-scaling/'
	@echo 'make bench-peers   compare with torch, where that is or can be installed'
	@echo 'make format        clang-format everything; format-check only looks'
	@echo 'make clean         remove build/'

# Without CMake a compiler is enough.
demo:
	@mkdir -p build/demo/examples
	@.ci/need libc6-dev cmake 2>build/log || true
	@{ $(CMAKE) -S . -B build/demo -DCMAKE_BUILD_TYPE=Release -DCSP_BLAS=OFF \
	        -DCSP_BUILD_TESTS=OFF && \
	    $(CMAKE) --build build/demo --target synthetic -j $(JOBS); } >build/log 2>&1 || \
	    $(CC) -O2 -Iinclude examples/synthetic*.c examples/npy.c src/*.c -lm \
	        -o build/demo/examples/synthetic
	@build/demo/examples/synthetic
	@build/demo/examples/synthetic --real

test:
	@mkdir -p build
	@.ci/need libc6-dev cmake g++ pkg-config libcmocka-dev libopenblas-dev \
	    libcjson-dev
	@.ci/need libopenmpi-dev openmpi-bin 2>build/log || echo 'no MPI: going on without'
	@$(CMAKE) -S . -B build/test -DCMAKE_BUILD_TYPE=Release $(QUIETLY)
	@$(CMAKE) --build build/test -j $(JOBS) $(QUIETLY)
	@cd build/test && ctest --output-on-failure --no-tests=error -j $(JOBS)
	@[ "$$(uname -m)" != x86_64 ] || grep -qw avx512f /proc/cpuinfo || \
	    echo 'no AVX-512 on this CPU: kernels for it NOT TESTED'
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	    command -v google-chrome >/dev/null || \
	    echo 'no Chromium: NOT TESTED in a browser; make test-report gets one'

# A browser is large, so nobody gets one unasked.
test-report:
	@mkdir -p build
	@.ci/need libc6-dev cmake g++ pkg-config libcmocka-dev libopenblas-dev \
	    libcjson-dev chromium
	@$(CMAKE) -S . -B build/test -DCMAKE_BUILD_TYPE=Release $(QUIETLY)
	@$(CMAKE) --build build/test --target csp_cli sample_scores -j $(JOBS) $(QUIETLY)
	@tests/cli/browser.sh $(CURDIR)/build/test/src/cli/csp build/browser \
	    $(CURDIR)/build/test/tests/cli/sample_scores

install-test:
	@mkdir -p build
	@.ci/need libc6-dev cmake g++ pkg-config
	@tests/install/run.sh build/install-test

test-engine:
	@mkdir -p build
	@.ci/need libc6-dev cmake libcmocka-dev libcjson-dev
	@tests/engine/run.sh build/engine

test-engine-real: test-engine
	@tests/engine/real.sh build/engine

bench-peers:
	@mkdir -p build
	@python=$$(tests/bench/peers_python.sh) || { echo 'no torch: skipped'; exit 0; }; \
	    .ci/need libc6-dev cmake libcmocka-dev && \
	    { { $(CMAKE) -S . -B build/peers -DCMAKE_BUILD_TYPE=Release -DCSP_BLAS=OFF \
	        -DCSP_BUILD_BENCH_PEERS=ON && \
	    $(CMAKE) --build build/peers --target csp_peers -j $(JOBS); } $(QUIETLY); } && \
	    "$$python" -B tests/bench/peers.py build/peers/tests/libcsp_peers.so

cross:
	@tests/cross/tools.sh build/cross
	@tests/cross/run.sh build/cross

lint:
	@.ci/need libc6-dev cmake gcc g++ libopenblas-dev libcjson-dev clang clang-format \
	    clang-tidy clang-tools cppcheck
	@tests/gates/lint.sh build/lint

symbols:
	@.ci/need libc6-dev cmake gcc binutils libopenblas-dev libcjson-dev clang
	@tests/gates/symbols.sh build/symbols

abi:
	@.ci/need libc6-dev cmake git binutils abigail-tools
	@tests/gates/abi.sh build/abi

sanitize:
	@.ci/need libc6-dev cmake clang libcmocka-dev libcjson-dev valgrind
	@.ci/need "libclang-rt-$$(clang -dumpversion | cut -d. -f1)-dev"
	@tests/gates/sanitize.sh build/sanitize

coverage:
	@mkdir -p build
	@.ci/need cmake g++ pkg-config libcmocka-dev libopenblas-dev libcjson-dev gcovr
	@$(CMAKE) --preset coverage $(QUIETLY)
	@$(CMAKE) --build --preset coverage $(QUIETLY)
	@find build/coverage -name '*.gcda' -delete
	@ctest --preset coverage --label-exclude install $(QUIETLY)
	@tests/gates/coverage.sh build/coverage

# $(call build_tests,TARGETS)
define build_tests
@mkdir -p build
@.ci/need libc6-dev cmake g++ pkg-config libcmocka-dev libopenblas-dev libcjson-dev
@$(CMAKE) -S . -B build/test -DCMAKE_BUILD_TYPE=Release $(QUIETLY)
@$(CMAKE) --build build/test --target $(1) -j $(JOBS) $(QUIETLY)
endef

guard-pages:
	$(call build_tests,test_guard_pages)
	@build/test/tests/test_guard_pages --figures

DIFFERENTIAL_N = 100000

differential:
	$(call build_tests,test_differential test_metamorphic)
	@build/test/tests/test_metamorphic --n 10000
	@tests/gates/differential.sh build/test/tests/test_differential $(DIFFERENTIAL_N) \
	    $(JOBS)

huge:
	$(call build_tests,test_huge test_huge_moves test_cli_sparse csp_cli)
	@build/test/tests/test_huge
	@build/test/tests/test_huge_moves
	@cd build/test/tests && cli/test_cli_sparse --whole

faults:
	$(call build_tests,test_pruner_faults test_cli_faults)
	@tests/gates/faults.sh build/test/tests

FUZZ_SECONDS = 60

fuzz:
	@mkdir -p build
	@.ci/need libc6-dev cmake g++ pkg-config libcmocka-dev libcjson-dev clang
	@.ci/need "libclang-rt-$$(clang -dumpversion | cut -d. -f1)-dev"
	@$(CMAKE) --preset fuzz $(QUIETLY)
	@$(CMAKE) --build --preset fuzz $(QUIETLY)
	@tests/fuzz/run.sh build/fuzz $(FUZZ_SECONDS) $(JOBS)

fuzz-afl:
	@mkdir -p build
	@.ci/need libc6-dev cmake g++ pkg-config libcmocka-dev libcjson-dev clang afl++ || \
	    { echo 'no AFL++: NOT FUZZED by a second engine'; exit 1; }
	@tests/fuzz/afl.sh build/afl $(FUZZ_SECONDS)

canary:
	@mkdir -p build
	@.ci/need libc6-dev cmake g++ pkg-config libcmocka-dev libopenblas-dev libcjson-dev
	@tests/canary.sh build/test build/canary

MUTANTS = 300

# In pieces: MUTATE_SECONDS=500 stops then, and the next run goes on.
mutate:
	@mkdir -p build
	@.ci/need libc6-dev cmake g++ libcmocka-dev libcjson-dev python3 python3-venv
	@tests/mutate/run.sh build/mutate $(MUTANTS) $(JOBS)

SOAK_MINUTES = 10

soak:
	@mkdir -p build
	@.ci/need libc6-dev cmake g++ libcmocka-dev
	@$(CMAKE) -S . -B build/soak -DCMAKE_BUILD_TYPE=Release -DCSP_BLAS=OFF \
	    -DCSP_BUILD_CLI=OFF -DCSP_BUILD_EXAMPLES=OFF $(QUIETLY)
	@$(CMAKE) --build build/soak --target soak -j $(JOBS) $(QUIETLY)
	@build/soak/tests/soak/soak --seconds $$(awk 'BEGIN { print 60 * $(SOAK_MINUTES) }')

# Peers on one thread, and BLAS by what the CPU is, not by what the shell says.
BENCH_RUN = env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE \
    OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1

# Without oneDNN its figure is absent, without gnuplot the pictures.
define build_bench
@mkdir -p build
@.ci/need libc6-dev cmake g++ libcmocka-dev libopenblas-dev
@.ci/need libdnnl-dev 2>build/log || echo 'no oneDNN: going on without'
@$(CMAKE) -S . -B build/bench -DCMAKE_BUILD_TYPE=Release -DCSP_BLAS=AUTO \
    -DCSP_BUILD_EXAMPLES=OFF $(QUIETLY)
@$(CMAKE) --build build/bench --target $(1) -j $(JOBS) $(QUIETLY)
endef

bench:
	$(call build_bench,bench)
	@$(BENCH_RUN) build/bench/tests/bench/bench $(BENCH)

bench-scaling:
	$(call build_bench,bench_scaling)
	@mkdir -p build/bench-scaling
	@$(BENCH_RUN) build/bench/tests/bench/bench_scaling \
	    --csv build/bench-scaling/scaling.csv
	@if .ci/need gnuplot-nox; then \
	    gnuplot -e "csv='build/bench-scaling/scaling.csv'" \
	        -e "folder='build/bench-scaling'" tests/bench/scaling.gp && \
	    echo 'pictures: build/bench-scaling/time.svg, memory.svg'; fi

# A model and a test set, from where SHARED says; 900 prompts by 240 settings, twice.
SHARED = ../shared
EVAL = --prompts 900

eval:
	@[ -e $(SHARED)/tinyvlm/testset.npz ] || \
	    { echo 'make eval SHARED=DIR: a folder with tinyvlm/'; exit 1; }
	@mkdir -p build/eval/testset
	@.ci/need libc6-dev cmake libcmocka-dev libcjson-dev
	@$(CMAKE) -S . -B build/eval -DCMAKE_BUILD_TYPE=Release -DCSP_BLAS=OFF $(QUIETLY)
	@$(CMAKE) --build build/eval --target eval_accuracy eval_attention eval_turns \
	    -j $(JOBS) $(QUIETLY)
	@cd build/eval/testset && $(CMAKE) -E tar xf $(abspath $(SHARED))/tinyvlm/testset.npz
	@build/eval/tests/eval/eval_accuracy $(SHARED)/tinyvlm build/eval/testset \
	    --csv build/eval/accuracy.csv $(EVAL) >build/eval/accuracy.txt
	@if .ci/need gnuplot-nox; then \
	    gnuplot -e "csv='build/eval/accuracy.csv'" -e "folder='build/eval'" \
	        tests/eval/accuracy.gp && echo 'picture: build/eval/accuracy.svg'; fi
	@build/eval/tests/eval/eval_turns $(SHARED)/tinyvlm build/eval/testset --contexts 50
	@build/eval/tests/eval/eval_attention $(SHARED)/tinyvlm build/eval/testset \
	    --limit-contexts 48 --csv build/eval/attention.csv
	@cat build/eval/accuracy.txt

format:
	@.ci/need clang-format
	@clang-format -i $(SOURCES)

# clang-format leaves comments alone.
format-check:
	@awk 'length > 80 { print FILENAME ":" FNR ": more than 80 columns"; bad = 1 } \
	    END { exit bad }' $(SOURCES)
	@.ci/need clang-format
	@clang-format --dry-run -Werror $(SOURCES)

clean:
	@rm -rf build
