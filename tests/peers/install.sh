#!/usr/bin/env bash
# Installs Debian packages as root, or with sudo if CI is set. Fails with one line otherwise.
#
#     tests/peers/install.sh PACKAGE…
set -euo pipefail

command -v apt-get >/dev/null || { echo "cannot install $* without apt-get"; exit 1; }
if [ "$(id -u)" -eq 0 ]; then
    as_root=()
elif [ "${CI:-}" = true ] && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
else
    echo "cannot install $* without root"
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq "$@"; }

# Only the programs of Postfix are needed; it must not start as a service.
case " $* " in
    *" postfix "*)
        echo "postfix postfix/main_mailer_type select No configuration" | "${as_root[@]}" debconf-set-selections
        ;;
esac
apt install -y --no-install-recommends "$@" || { apt update && apt install -y --no-install-recommends "$@"; }
