#!/usr/bin/env bash
# Has SpamAssassin (local rules only) read every built-in mail, as the golden tests wrote it: none may gain a point by its content.
#
#     tests/peers/spam.sh TARGET_FOLDER
#
# Exit status 77 when SpamAssassin is missing and may not be installed, unless JOBBELL_REQUIRE_PEERS=1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$(realpath "${1:?the folder that cargo builds into}")
mails="$target/tmp/mails"

if ! command -v spamassassin >/dev/null && ! "$here/install.sh" spamassassin; then
    printf 'not installed: spamassassin\n'
    [ "${JOBBELL_REQUIRE_PEERS:-0}" = 1 ] && exit 1
    exit 77
fi
compgen -G "$mails/*.eml" >/dev/null || { printf 'no mails in %s: the golden tests write them\n' "$mails"; exit 1; }
exec perl "$here/spam.pl" "$mails"/*.eml
