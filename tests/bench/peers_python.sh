#!/bin/sh
# peers_python.sh - print the name of a Python that has torch
#
# Installs Debian's where that is allowed; fails if there is none to be had.
set -u

need="$(dirname "$0")/../../.ci/need"

if "${PYTHON:-python3}" -c 'from torch import add' >/dev/null 2>&1; then
    echo "${PYTHON:-python3}"
    exit 0
fi
"$need" python3-torch >&2 || exit 1
# Debian's torch multiplies by the BLAS that is there; the plain one is slow.
"$need" libopenblas-dev >&2 || true
echo /usr/bin/python3
