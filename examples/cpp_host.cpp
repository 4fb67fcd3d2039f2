/*
 * cpp_host.cpp - the core verbs from C++: one layer, its data in vectors
 *
 * The pruner of prune.c hides importance and kept rows; here they are the
 * host's, so nothing is allocated by the library.  Builds with -fno-exceptions
 * -fno-rtti.
 */
#include "csp.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

namespace
{

constexpr std::uint32_t kHeads = 4, kKvHeads = 2, kTokens = 64, kWindow = 8,
                        kDim = 32;
constexpr std::uint32_t kBudget = 16;

void check(csp_status status)
{
    if (status != CSP_OK) {
        std::fprintf(stderr, "cpp_host: %s\n", csp_status_string(status));
        std::exit(EXIT_FAILURE);
    }
}

std::vector<float> random_floats(std::size_t count, std::mt19937 &generator)
{
    std::normal_distribution<float> normal;
    std::vector<float> x(count);
    std::generate(x.begin(), x.end(), [&] { return normal(generator); });
    return x;
}

/* Importance and kept tokens of one layer, and the library's views of them. */
class Selection
{
  public:
    Selection()
        : intra_(kKvHeads * kTokens), inter_(intra_.size()),
          norms_(intra_.size()), rows_(intra_.size()), counts_(kKvHeads)
    {
    }

    csp_importance importance()
    {
        csp_importance view{};
        view.intra = intra_.data();
        view.inter = inter_.data();
        view.value_norm = norms_.data();
        view.capacity = kTokens;
        return view;
    }

    csp_kept kept()
    {
        csp_kept view{};
        view.rows = rows_.data();
        view.counts = counts_.data();
        view.n_lists = kKvHeads;
        view.capacity = kTokens;
        return view;
    }

    std::uint32_t count(std::uint32_t head) const
    {
        return counts_[head];
    }

  private:
    std::vector<float> intra_, inter_, norms_;
    std::vector<std::uint32_t> rows_, counts_;
};

} // namespace

int main()
{
    std::mt19937 generator(1);
    std::vector<float> logits =
        random_floats(kHeads * kWindow * kTokens, generator);
    std::vector<float> k = random_floats(kKvHeads * kTokens * kDim, generator);
    std::vector<float> v = random_floats(kKvHeads * kTokens * kDim, generator);

    const csp_span image = {8, 48, 1};
    csp_tokens tokens{};
    tokens.n_kv_heads = kKvHeads;
    tokens.n_keys = kTokens;
    tokens.spans = &image;
    tokens.n_spans = 1;
    csp_attention attention{};
    attention.source = CSP_LOGITS;
    attention.first_query = kTokens - kWindow;
    attention.scores =
        csp_tensor_packed(logits.data(), CSP_F32, kHeads, kWindow, kTokens);
    const csp_tensor values =
        csp_tensor_packed(v.data(), CSP_F32, kKvHeads, kTokens, kDim);
    const csp_cells cache[] = {
        csp_cells_packed(k.data(), kKvHeads, kTokens, kDim * sizeof(float)),
        csp_cells_packed(v.data(), kKvHeads, kTokens, kDim * sizeof(float))};

    csp_config config;
    check(csp_config_preset(CSP_PRESET_DEFAULT, kTokens, kBudget, &config));
    std::vector<unsigned char> workspace(
        std::max({csp_score_workspace_size(&attention, &tokens, &config),
                  csp_value_distances_workspace_size(kKvHeads, kDim),
                  csp_select_workspace_size(&tokens, &config)}));

    Selection selection;
    const csp_importance importance = selection.importance();
    const csp_kept kept = selection.kept();
    check(csp_value_distances(&values, &tokens, workspace.data(),
                              workspace.size(), kTokens,
                              importance.value_norm));
    check(csp_score(&attention, &tokens, &config, workspace.data(),
                    workspace.size(), &importance));
    check(csp_select(&importance, &tokens, &config, workspace.data(),
                     workspace.size(), &kept));
    check(csp_compact(cache, 2, &kept, nullptr));

    for (std::uint32_t head = 0; head < kKvHeads; ++head)
        std::printf("KV head %u keeps %u of %u tokens\n", unsigned{head},
                    unsigned{selection.count(head)}, unsigned{kTokens});
    return EXIT_SUCCESS;
}
