#!/usr/bin/env bash
# Downloads Debian's Exim and unpacks it into a directory, because installing it would remove Postfix. Needs root to create its user.
#
#     tests/peers/exim.sh FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?folder to unpack into}
program=$folder/usr/sbin/exim4

[ "$(id -u)" -eq 0 ] || { echo "Exim needs root"; exit 1; }
if [ ! -x "$program" ]; then
    command -v apt-get >/dev/null || { echo "Exim needs apt-get"; exit 1; }
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    # As root: apt's sandbox user has no access to the directory.
    fetch() { (cd "$scratch" && apt-get -qq -o APT::Sandbox::User=root download exim4-daemon-light); }
    fetch || { apt-get -qq update && fetch; }
    mkdir -p "$folder"
    dpkg -x "$scratch"/exim4-daemon-light_*.deb "$folder"
fi
if ldd "$program" | grep -q 'not found'; then
    "$here/install.sh" libdb5.3 libgnutls-dane0 libidn12 libnsl2 libpcre2-8-0
fi
getent passwd Debian-exim >/dev/null || useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin Debian-exim
"$program" -C /dev/null -bV >/dev/null 2>&1 || { echo "the downloaded Exim does not run"; exit 1; }
