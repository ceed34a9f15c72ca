#!/usr/bin/env bash
# Tests the daemon against its /openapi.json with schemathesis (from PyPI).
#
#     tests/peers/description.sh TARGET_FOLDER
#
# Exit status 77 if a tool is missing and cannot be installed, unless JOBBELL_REQUIRE_PEERS=1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$(realpath "${1:?the target directory of cargo}")

"$here/python.sh" "$target/peers/venv" aiosmtpd==1.4.6 schemathesis==4.32.5
exec "$target/peers/venv/bin/python" -B "$here/description.py" "$target/debug/jobbell"
