#!/usr/bin/env bash
# Checks the built-in mails against the features of mail clients (npm's caniemail); caniemail.json lists accepted gaps.
#
#     tests/peers/caniemail.sh TARGET_FOLDER
#
# Exit status 77 if a tool is missing and cannot be installed, unless JOBBELL_REQUIRE_PEERS=1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$(realpath "${1:?the target directory of cargo}")
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
    npm install --prefix "$folder" --no-audit --no-fund --no-save --silent "caniemail@$version" || missing "npm could not install: caniemail"
fi
exec node "$here/caniemail.mjs" "$folder" "$here"/../it/golden/*.html
