/*
 * fuzz_spans.c - text of the option --spans
 */
#include "fuzz_span_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_take(size + 1, 0, FUZZ_INPUT);
    span_list list = {.n = 0};

    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    fuzz_snapshot();
    const outcome result = spans_parse(text, &list);
    fuzz_require_kept("spans_parse", false, false);
    REQUIRE(result == DONE || result == BAD_USAGE, "spans: outcome %d",
            (int)result);
    if (result == DONE) {
        REQUIRE(list.n > 0, "spans: none in \"%s\"", text);
        fuzz_check_spans(&list);
        spans_free(&list);
    }
    REQUIRE(list.spans == NULL, "spans: refused, and not given back");
    fuzz_release();
    return 0;
}
