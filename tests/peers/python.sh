#!/usr/bin/env bash
# Makes a Python environment and installs packages from PyPI into it, where they are missing.
#
#     tests/peers/python.sh FOLDER PACKAGE==VERSION…
#
# Exit status 77 when something is missing and may not be installed, unless JOBBELL_REQUIRE_PEERS=1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=${1:?folder of the environment}
shift

missing() {
    printf '%s\n' "$*"
    [ "${JOBBELL_REQUIRE_PEERS:-0}" = 1 ] && exit 1
    exit 77
}

if ! { command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null; }; then
    "$here/install.sh" python3 python3-venv || missing "not installed: python3 python3-venv"
fi
"$venv/bin/python" -c '' 2>/dev/null || { rm -rf "$venv" && python3 -m venv "$venv"; }
# Silent, and without the network, where all is there already.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" || missing "not to be had from PyPI: $*"
