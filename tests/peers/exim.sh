#!/usr/bin/env bash
# Fetches Debian's Exim and unpacks it into a folder: installed, it would put Postfix out. Needs root, for the user that the program insists on.
#
#     tests/peers/exim.sh FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?folder to unpack into}
program=$folder/usr/sbin/exim4

[ "$(id -u)" -eq 0 ] || { echo "not root, so not fetching Exim"; exit 1; }
if [ ! -x "$program" ]; then
    command -v apt-get >/dev/null || { echo "no apt-get here to fetch Exim with"; exit 1; }
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    # As root's own: the user that apt would hand this to cannot reach the folder.
    fetch() { (cd "$scratch" && apt-get -qq -o APT::Sandbox::User=root download exim4-daemon-light); }
    fetch || { apt-get -qq update && fetch; }
    mkdir -p "$folder"
    dpkg -x "$scratch"/exim4-daemon-light_*.deb "$folder"
fi
if ldd "$program" | grep -q 'not found'; then
    "$here/install.sh" libdb5.3 libgnutls-dane0 libidn12 libnsl2 libpcre2-8-0
fi
getent passwd Debian-exim >/dev/null || useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin Debian-exim
"$program" -C /dev/null -bV >/dev/null 2>&1 || { echo "the fetched Exim does not run here"; exit 1; }
