#!/usr/bin/env bash
# Creates a Python environment and installs missing packages from PyPI.
#
#     tests/peers/python.sh FOLDER PACKAGE==VERSION…
#
# Exit status 77 if a tool is missing and cannot be installed, unless JOBBELL_REQUIRE_PEERS=1.
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
# Needs no network if all packages are installed.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" || missing "pip could not install: $*"
