/*
 * bench_nth.cpp - selection as one writes it with the standard library
 *
 * The score of rank k by std::nth_element on a copy, then one pass that marks
 * what is above it, and of what equals it the first.
 */
#include "peers.h"

#include <algorithm>
#include <cstring>
#include <functional>

namespace
{

/* All above 'least' are among the k best, and the first n_equal that equal
   it. */
struct threshold {
    float least;
    uint32_t n_equal;
};

threshold kth_best(float *scores, uint32_t n, uint32_t k)
{
    float *nth = scores + (k - 1);

    std::nth_element(scores, nth, scores + n, std::greater<float>());
    const float least = *nth;
    const auto n_above =
        std::count_if(scores, nth, [least](float x) { return x > least; });
    return {least, k - static_cast<uint32_t>(n_above)};
}

/* Mark the k best of scores above zero. */
void mark_best(const float *scores, uint32_t n, uint32_t k, float *scratch,
               unsigned char *marks)
{
    if (k == 0)
        return;
    std::copy(scores, scores + n, scratch);
    threshold t = kth_best(scratch, n, k);
    if (!(t.least > 0.0f))
        t = {0.0f, 0};
    for (uint32_t i = 0; i < n; i++)
        if (scores[i] > t.least) {
            marks[i] = 1;
        } else if (scores[i] == t.least && t.n_equal > 0) {
            marks[i] = 1;
            t.n_equal--;
        }
}

/* Mark the k best by the sum among those without a mark. */
void fill_up(const float *intra, const float *inter, uint32_t n, uint32_t k,
             float *scratch, unsigned char *marks)
{
    uint32_t n_left = 0;

    if (k == 0)
        return;
    for (uint32_t i = 0; i < n; i++)
        if (marks[i] == 0)
            scratch[n_left++] = intra[i] + inter[i];
    threshold t = kth_best(scratch, n_left, k);
    for (uint32_t i = 0; i < n; i++) {
        const float sum = intra[i] + inter[i];
        if (marks[i] != 0)
            continue;
        if (sum > t.least) {
            marks[i] = 1;
        } else if (sum == t.least && t.n_equal > 0) {
            marks[i] = 1;
            t.n_equal--;
        }
    }
}

} // namespace

void nth_select(const float *intra, const float *inter, uint32_t n_keys,
                uint32_t n_recent, uint32_t n_intra, uint32_t n_inter,
                uint32_t budget, float *scratch, unsigned char *marks,
                uint32_t *kept)
{
    const uint32_t n = n_keys - n_recent;
    uint32_t n_kept = 0;

    std::memset(marks, 0, n);
    mark_best(intra, n, n_intra, scratch, marks);
    mark_best(inter, n, n_inter, scratch, marks);
    const auto n_marked =
        static_cast<uint32_t>(std::count(marks, marks + n, 1));
    fill_up(intra, inter, n, budget - n_recent - n_marked, scratch, marks);
    for (uint32_t i = 0; i < n; i++)
        if (marks[i] != 0)
            kept[n_kept++] = i;
    for (uint32_t i = n; i < n_keys; i++)
        kept[n_kept++] = i;
}
