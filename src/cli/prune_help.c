/*
 * prune_help.c - what the options of `csp prune` do, for --help
 */
#include "prune_options.h"

#include <stdio.h>

static const char text[] =
    "Input:\n"
    "  --tensor NAME         tensor of a .safetensors file\n"
    "  --dtype bf16          16-bit unsigned integers are bfloat16\n"
    "  --kind logits|probs   what SCORES are (logits)\n"
    "  --lse FILE            log-sum-exp of each row of probabilities\n"
    "  --lse-tensor NAME     tensor of a .safetensors file\n"
    "  --mask causal|full    keys behind a query's token are masked, or seen\n"
    "                        unless logits say otherwise (causal)\n"
    "  --first-query N       token of the first query (keys - queries)\n"
    "  --kv-heads N          KV heads (as many as heads)\n"
    "  --values FILE         value rows, [kv_heads][keys][dimension]\n"
    "  --values-tensor NAME  tensor of a .safetensors file\n"
    "  --spans LIST          such as 20:596=image,640:1216=audio; other "
    "tokens\n"
    "                        are text\n"
    "  --spans-file FILE     JSON: [[20, 596, \"image\"], [640, 1216, 2]]\n"
    "\n"
    "Method:\n"
    "  --preset NAME         csp, agnostic, paper, reference, snapkv, h2o or\n"
    "                        streaming; other options go over it\n"
    "  --n X                 n of the n-softmax (1)\n"
    "  --budget N|R%         tokens that a head keeps, or percent of keys\n"
    "  --sinks N             first tokens, always kept (0)\n"
    "  --recent N|R%         last tokens, always kept (0)\n"
    "  --intra N             length of the list by intra (the rest)\n"
    "  --inter N             length of the list by inter (0)\n"
    "  --inter-share X|auto  part of the rest that is inter's, or by mass\n"
    "  --select NAME         exact, reference or intersection (exact)\n"
    "  --scope NAME          who shares a list: head, layer or global (head)\n"
    "  --block N             keep blocks of N tokens (1)\n"
    "  --pool NAME:WIDTH     avg:7 or max:5 over the keys, or none (none)\n"
    "  --weights LIST        value-norm or value-distance, visible-rows, with\n"
    "                        a comma between, or none (none)\n"
    "\n"
    "Computation:\n"
    "  --tier NAME           auto, scalar, avx2, avx512 or neon (auto)\n"
    "  --threads N           at most so many (the CPUs there are)\n"
    "  --help                this text";

void prune_options_help(void)
{
    puts(text);
}
