#!/bin/sh
# expect_error.sh MESSAGE COMMAND... - the command fails and says MESSAGE
message=$1
shift
if output=$("$@" 2>&1); then
    echo "succeeded: $*"
    exit 1
fi
echo "$output"
echo "$output" | grep -qF "$message"
