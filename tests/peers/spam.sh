#!/usr/bin/env bash
# Runs SpamAssassin (local rules only) on every built-in mail that the golden tests wrote: the content must not add points.
#
#     tests/peers/spam.sh TARGET_FOLDER
#
# Exit status 77 when SpamAssassin is missing and may not be installed, unless JOBBELL_REQUIRE_PEERS=1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$(realpath "${1:?the target directory of cargo}")
mails="$target/tmp/mails"

if ! command -v spamassassin >/dev/null && ! "$here/install.sh" spamassassin; then
    printf 'not installed: spamassassin\n'
    [ "${JOBBELL_REQUIRE_PEERS:-0}" = 1 ] && exit 1
    exit 77
fi
compgen -G "$mails/*.eml" >/dev/null || { printf 'no mails in %s: run the golden tests first\n' "$mails"; exit 1; }
exec perl "$here/spam.pl" "$mails"/*.eml
