#!/bin/sh
# real.sh DIRECTORY [TEXT...] - csp-llama on a real language model
#
# Prunes the cache of a few thousand tokens of real text by several methods, and says
# how the text's own next tokens fare with it.  After run.sh DIRECTORY.
set -eu

[ $# -gt 0 ] || { echo "usage: real.sh DIRECTORY [TEXT...]" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
shift
program=$build/examples/llama_cpp/csp-llama

"$here/fetch_model.sh" "$build" && fetched=0 || fetched=$?
if [ $fetched = 77 ] || [ ! -x "$program" ]; then
    echo
    echo "!!! NOT TESTED on a real model: it or llama.cpp cannot be had here !!!"
    exit 0
fi
[ $fetched = 0 ] || exit 1

cd "$here/../.."
[ $# -gt 0 ] || set -- /usr/share/common-licenses/GPL-3 /usr/share/common-licenses/GFDL-1.3 \
    /usr/share/common-licenses/LGPL-2.1
rm -f "$build/real.txt"
for text; do
    [ -r "$text" ] || { echo "no $text: skipped"; continue; }
    echo
    echo "== $text"
    "$program" --model "$build/SmolLM2-135M-Instruct.Q4_1.gguf" \
        --backends "$build/llama.cpp/lib" --text "$text" --max-tokens 4224 \
        --hold-out 128 --budget 10,20,40 \
        --method csp,snapkv,h2o,streaming,random >"$build/part.txt"
    tee -a "$build/real.txt" <"$build/part.txt"
done

# Means over the texts.
awk '
    $1 ~ /%$/ {
        key = $1 " " $2
        if (!(key in n)) order[++lines] = key
        n[key]++; speed[key] += $8; top[key] += $9; kl[key] += $10; loss[key] += $11
    }
    END {
        printf "\n== means over %d texts\n\n", n[order[1]]
        printf "%6s  %-10s %8s %6s %9s %8s\n", "budget", "method", "tok/s", "top-1",
            "KL", "loss"
        for (i = 1; i <= lines; i++) {
            k = order[i]; split(k, name, " ")
            printf "%6s  %-10s %8.1f %6.3f %9.5f %8.4f\n", name[1], name[2],
                speed[k] / n[k], top[k] / n[k], kl[k] / n[k], loss[k] / n[k]
        }
        for (i = 1; i <= lines; i++) {
            k = order[i]; split(k, name, " "); sub(/\.0%$/, "", name[1])
            printf "figure real_%s_%s_kl %.5f\n", name[2], name[1], kl[k] / n[k]
        }
    }' "$build/real.txt"
