#!/usr/bin/env bash
# Holds the daemon to its own /openapi.json with schemathesis (from PyPI).
#
#     tests/peers/description.sh TARGET_FOLDER
#
# Exit status 77 when something is missing and may not be installed, unless JOBBELL_REQUIRE_PEERS=1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$(realpath "${1:?the folder that cargo builds into}")

"$here/python.sh" "$target/peers/venv" aiosmtpd==1.4.6 schemathesis==4.32.5
exec "$target/peers/venv/bin/python" -B "$here/description.py" "$target/debug/jobbell"
