#!/usr/bin/env bash
# Runs the client snippets of docs/clients.md: curl, Python, Node.js, Rust and shell.
#
#     tests/peers/snippets.sh TARGET_FOLDER
#
# Exit status 77 if a tool is missing and cannot be installed, unless JOBBELL_REQUIRE_PEERS=1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$(realpath "${1:?the target directory of cargo}")

wanted=()
for program in curl jq; do
    command -v "$program" >/dev/null || wanted+=("$program")
done
# Node.js has `fetch` since version 18.
node -e 'process.exit(typeof fetch === "function" ? 0 : 1)' 2>/dev/null || wanted+=(nodejs)
if [ ${#wanted[@]} -gt 0 ] && ! "$here/install.sh" "${wanted[@]}"; then
    printf 'not installed: %s\n' "${wanted[*]}"
    [ "${JOBBELL_REQUIRE_PEERS:-0}" = 1 ] && exit 1
    exit 77
fi
"$here/python.sh" "$target/peers/venv" aiosmtpd==1.4.6 requests==2.32.5
exec "$target/peers/venv/bin/python" -B "$here/snippets.py" "$target/debug/jobbell" "$target"
