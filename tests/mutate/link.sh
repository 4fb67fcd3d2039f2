#!/usr/bin/env bash
# link.sh INTO [KEY] - libcsp_mutant.so: the objects of src/, or those of mutant KEY
#
# Library and program are in it, the latter with its main(), which the tests have one
# of their own in place of.  The test of faults is a program without it: it has the
# linker put calls of its own in place of the system's, in every object.
set -eu
cd "$MUTATE_DIR"
into=$1 key=${2:-}
objects=
for object in base/*.o base/cli/*.o base/cli/digest/*.o; do
    [ -n "$key" ] && [ -e "objects/$key/${object#base/}" ] &&
        object=objects/$key/${object#base/}
    objects="$objects $object"
done
cc -shared -o "$into/libcsp_mutant.so" $objects -lcjson -lm -pthread

faults=tests/tests/cli/CMakeFiles/test_cli_faults.dir
cc -o "$into/cli_faults" $(grep -o -e '-Wl,--wrap=[a-z0-9_]*' $faults/link.txt) \
    $faults/*.o $(printf '%s\n' $objects | grep -v '/csp\.o$') \
    tests/tests/libcsp_test_support.a -lcjson -lcmocka -lm -pthread
