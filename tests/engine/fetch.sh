#!/bin/sh
# fetch.sh DIRECTORY - a prebuilt llama.cpp and its headers, for the tests that need one
#
# Leaves DIRECTORY/include and DIRECTORY/lib, from two npm packages of one version: the
# first has the libraries for Linux on x86-64, the second the source they were built
# from, as a git bundle.  Nothing is done where that version is there already.  Exits
# with 77, saying why, where it cannot be had, and with 1 if it is not what it should be.
set -eu

version=3.22.1
libraries=@node-llama-cpp/linux-x64
libraries_sha512=e6e0820cda9608d7da026f1a47f533c5ba381c1a4a80d17dd640873dea4a8603\
2057638099ab6879f6ce94c8a1b2a0a21f639ddf913f7941d00856df44126e3a
source=node-llama-cpp
source_sha512=6e5b488a9b9699cd76dc7eed30880318a4ac4ab866865418795502e3c5d38d55\
bb5c624988927209d95333343f2e25a83e4183a5c2f816f883a60c3ba9f4e20f

say() { echo "fetch.sh: $*" >&2; }
skip() { say "$*"; exit 77; }
fail() { say "$*"; exit 1; }

[ $# = 1 ] || fail "usage: fetch.sh DIRECTORY"
need=$(cd "$(dirname "$0")/../.." && pwd)/.ci/need
mkdir -p "$1"
cd "$1"
work=$(pwd)
if [ "$(cat stamp 2>/dev/null)" = "$version" ]; then
    exit 0
fi

[ "$(uname -sm)" = "Linux x86_64" ] || skip "no libraries for $(uname -sm)"
oldest="glibc 2.34"
[ "$({ echo "$oldest"; getconf GNU_LIBC_VERSION || echo none; } 2>/dev/null |
    sort -V | head -n 1)" = "$oldest" ] || skip "the libraries need $oldest"

has() { command -v "$1" >/dev/null; }

"$need" git tar >&2 || skip "no git or no tar"
has npm || has curl || has wget || "$need" ca-certificates curl >&2 ||
    skip "no npm, no curl and no wget"

# download PACKAGE FILE: the tarball of that package, by whatever can get it
download()
{
    registry=${npm_config_registry:-https://registry.npmjs.org}
    url=${registry%/}/$1/-/${1##*/}-$version.tgz
    if has npm && npm pack --silent --fetch-retries=1 --fetch-timeout=60000 \
        "$1@$version" >name 2>log && mv "$(tail -n 1 name)" "$2"; then
        return
    fi
    if has curl; then
        curl -fsSL --connect-timeout 20 --max-time 900 --retry 2 -o "$2" "$url" 2>log
    elif has wget; then
        wget -q --timeout=30 --tries=3 -O "$2" "$url" 2>log
    else
        false
    fi || { cat log >&2; skip "$1 $version is not to be had"; }
}

# get PACKAGE FILE SHA512
get()
{
    download "$1" "$2"
    echo "$3  $2" | sha512sum -c --status || fail "$1 $version: wrong SHA-512"
    tar -xzf "$2"
    rm "$2"
}

rm -rf stamp include lib part
mkdir part
trap 'rm -rf "$work/part"' EXIT
trap 'exit 1' HUP INT TERM
cd part
get "$libraries" libraries.tgz "$libraries_sha512"
get "$source" source.tgz "$source_sha512"

git clone -q --bare package/llama/gitRelease.bundle tree
git --git-dir=tree archive HEAD include ggml/include | tar -x
mv ggml/include/* include
for name in llama ggml; do
    ln -s "$(basename package/bins/linux-x64/lib$name.v*.so)" \
        "package/bins/linux-x64/lib$name.so"
done

cd ..
mv part/include include
mv part/package/bins/linux-x64 lib
rm -rf part
echo "$version" >stamp
