/*
 * fuzz_json.c - JSON of the option --spans-file, and what looks through JSON
 * before it is parsed
 */
#include "fuzz_file.h"
#include "fuzz_span_list.h"

#include "json_check.h"

/* The text lies in memory of its size, and has no end but that. */
static bool looks_right(const uint8_t *data, size_t size)
{
    char *text = fuzz_take(size, 0, FUZZ_INPUT);
    size_t at = SIZE_MAX;

    if (size > 0)
        memcpy(text, data, size);
    fuzz_snapshot();
    const char *wrong = json_check(text, size, &at);
    fuzz_require_kept("json_check", false, false);
    REQUIRE(at <= size && (wrong != NULL || at == size),
            "json: stopped at byte %zu of %zu", at, size);
    fuzz_release();
    return wrong == NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bool right = looks_right(data, size);
    span_list list = {.n = 0};
    const outcome result = spans_read(fuzz_file(data, size), &list);

    REQUIRE(result == DONE || result == BAD_INPUT, "json: outcome %d",
            (int)result);
    REQUIRE(result != DONE || right, "json: spans from what does not look so");
    if (result == DONE) {
        fuzz_check_spans(&list);
        spans_free(&list);
    }
    REQUIRE(list.spans == NULL, "json: refused, and not given back");
    return 0;
}
