#!/usr/bin/env bash
# Tests the program with real mail servers on 127.0.0.1: aiosmtpd (from PyPI), Postfix and Exim (from Debian).
#
#     tests/peers/run.sh target/debug/jobbell [FOLDER for the Python environment, default target/peers]
#
# Exit status 77 if a tool is missing and cannot be installed, unless JOBBELL_REQUIRE_PEERS=1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$(realpath "${1:?path of the jobbell program}")
venv=${2:-$here/../../target/peers}/venv

missing() {
    printf '%s\n' "$*"
    [ "${JOBBELL_REQUIRE_PEERS:-0}" = 1 ] && exit 1
    exit 77
}

wanted=()
command -v openssl >/dev/null || wanted+=(openssl)
if [ "$(id -u)" -eq 0 ] || [ "${CI:-}" = true ]; then
    [ -x /usr/sbin/postfix ] || wanted+=(postfix)
    [ -x /usr/sbin/saslpasswd2 ] || wanted+=(sasl2-bin)
    compgen -G '/usr/lib/*/sasl2/libplain.so*' >/dev/null || wanted+=(libsasl2-modules)
    compgen -G '/usr/lib/*/sasl2/libsasldb.so*' >/dev/null || wanted+=(libsasl2-modules-db)
fi
if [ ${#wanted[@]} -gt 0 ]; then
    "$here/install.sh" "${wanted[@]}" || missing "not installed: ${wanted[*]}"
fi

"$here/python.sh" "$venv" aiosmtpd==1.4.6
if [ "$(id -u)" -eq 0 ]; then
    exim=$(realpath -m "$venv/../exim")
    "$here/exim.sh" "$exim" || missing "Exim is missing"
    exec "$venv/bin/python" -B "$here/deliver.py" --exim="$exim/usr/sbin/exim4" "$binary"
fi
"$venv/bin/python" -B "$here/deliver.py" --without-postfix "$binary"
missing "Postfix and Exim need root (the tests with aiosmtpd passed)"
