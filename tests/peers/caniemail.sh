#!/usr/bin/env bash
# Compares the built-in mails with what mail programs support (npm's caniemail); what is lost and accepted stands in caniemail.json.
#
#     tests/peers/caniemail.sh TARGET_FOLDER
#
# Exit status 77 when something is missing and may not be installed, unless JOBBELL_REQUIRE_PEERS=1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$(realpath "${1:?the folder that cargo builds into}")
version=2.0.2

missing() {
    printf '%s\n' "$*"
    [ "${JOBBELL_REQUIRE_PEERS:-0}" = 1 ] && exit 1
    exit 77
}

command -v npm >/dev/null || "$here/install.sh" nodejs npm || missing "not installed: nodejs npm"
folder="$target/peers/caniemail"
mkdir -p "$folder"
if ! grep -qs "\"version\": \"$version\"" "$folder/node_modules/caniemail/package.json"; then
    npm install --prefix "$folder" --no-audit --no-fund --no-save --silent "caniemail@$version" || missing "not to be had from npm: caniemail"
fi
exec node "$here/caniemail.mjs" "$folder" "$here"/../it/golden/*.html
