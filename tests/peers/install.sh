#!/usr/bin/env bash
# Installs Debian packages where that is allowed: as root, or through sudo when CI is set. Fails with one line where it is not.
#
#     tests/peers/install.sh PACKAGE…
set -euo pipefail

command -v apt-get >/dev/null || { echo "no apt-get here to install $* with"; exit 1; }
if [ "$(id -u)" -eq 0 ]; then
    as_root=()
elif [ "${CI:-}" = true ] && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
else
    echo "not root, so not installing $*"
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq "$@"; }

# A mail server must not begin to serve this machine just because a test wants its programs.
case " $* " in
    *" postfix "*)
        echo "postfix postfix/main_mailer_type select No configuration" | "${as_root[@]}" debconf-set-selections
        ;;
esac
apt install -y --no-install-recommends "$@" || { apt update && apt install -y --no-install-recommends "$@"; }
