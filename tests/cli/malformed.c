/*
 * malformed.c - files that no reader may take
 */
#include "cli_test.h"
#include "malformed.h"

#include "commands.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>

enum { MEMORY = 1 << 28 };

/* Sanitizers that map all of their memory at once have no limit. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_LIMITED 0
#elif defined(__has_feature)
#define IS_LIMITED                                                             \
    !(__has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||   \
      __has_feature(thread_sanitizer))
#else
#define IS_LIMITED 1
#endif

void limit_memory(void)
{
    const struct rlimit limit = {MEMORY, MEMORY};

    if (IS_LIMITED)
        assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
}

void assert_refused(const char *name, const char *reason)
{
    const char *inspect[] = {"inspect", name, NULL};
    const char *compact[] = {"compact", name,      "--keep", name,
                             "--out",   "out.npy", NULL};
    const size_t before = count_files();

    catch_errors();
    const outcome inspected = run_command(command_inspect, inspect);
    const char *text = caught_errors();
    if (inspected != BAD_INPUT)
        fail_msg("%s: inspect ended in %d, not as bad input", reason,
                 inspected);
    assert_message(text, reason);
    catch_errors();
    const outcome compacted = run_command(command_compact, compact);
    text = caught_errors();
    if (compacted != BAD_INPUT)
        fail_msg("%s: compact ended in %d, not as bad input", reason,
                 compacted);
    assert_message(text, "");
    assert_int_equal(count_files(), before);
}

static outcome read_it(const char *name)
{
    const char *inspect[] = {"inspect", name, NULL};

    return run_command(command_inspect, inspect);
}

static void assert_bad_input(const char *name, size_t place)
{
    catch_errors();
    const outcome result = read_it(name);
    const char *text = caught_errors();

    if (result != BAD_INPUT)
        fail_msg("cut or changed at byte %zu: ended in %d", place, result);
    assert_message(text, name);
}

void assert_cut_anywhere_is_refused(const unsigned char *bytes, size_t size)
{
    write_file("cut", bytes, size);
    assert_int_equal(read_it("cut"), DONE);
    for (size_t i = size; i-- > 0;) {
        assert_int_equal(truncate("cut", (off_t)i), 0);
        assert_bad_input("cut", i);
    }
}

size_t count_valid_changes(const unsigned char *bytes, size_t size,
                           size_t header_size)
{
    size_t n_valid = 0;

    write_file("changed", bytes, size);
    const int fd = open("changed", O_WRONLY);
    assert_true(fd >= 0);
    for (size_t i = 0; i < header_size; i++) {
        for (unsigned change = 1; change < 256; change++) {
            const unsigned char byte = (unsigned char)(bytes[i] ^ change);
            assert_int_equal(pwrite(fd, &byte, 1, (off_t)i), 1);
            catch_errors();
            const outcome result = read_it("changed");
            const char *text = caught_errors();
            if (result == DONE)
                n_valid++;
            else if (result == BAD_INPUT)
                assert_message(text, "changed");
            else
                fail_msg("byte %zu as %u: ended in %d", i, byte, result);
        }
        assert_int_equal(pwrite(fd, bytes + i, 1, (off_t)i), 1);
    }
    close(fd);
    assert_int_equal(read_it("changed"), DONE);
    return n_valid;
}
