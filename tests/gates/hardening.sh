#!/bin/sh
# hardening.sh PROGRAM - whether it was built and linked with what makes bugs hard to use
#
# The program reads files of strangers.  The library is built as the host builds.
set -eu
export LC_ALL=C

program=$1
failed=0

# has WHAT COMMAND...
has()
{
    what=$1
    shift
    "$@" || { echo "program: no $what"; failed=1; }
}

header() { readelf -hW "$program" | grep -q "$1"; }
segment() { readelf -lW "$program" | grep -qE "$1"; }
dynamic() { readelf -dW "$program" | grep -qE "$1"; }
symbol() { nm -D "$program" | grep -qE "$1"; }
no_path() { ! readelf -dW "$program" | grep -qE 'R(UN)?PATH|TEXTREL'; }
not_executable() { ! readelf -lW "$program" | grep -qE 'GNU_STACK.* RWE|LOAD.* RWE'; }

has "position independence" header 'DYN (Position-Independent'
has "read-only relocations" segment '^ *GNU_RELRO'
has "binding at start" dynamic 'BIND_NOW|FLAGS.*NOW'
has "marked stack" segment '^ *GNU_STACK'
has "separation of code and data" not_executable
has "freedom of search paths and text relocations" no_path
has "stack protector" symbol ' U __stack_chk_fail'
has "checked calls (_FORTIFY_SOURCE)" symbol ' U __(memcpy|snprintf|fprintf|printf)_chk'

[ "$failed" = 0 ] && echo "program: hardened"
exit "$failed"
