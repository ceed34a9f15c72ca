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
# RUNLEVEL: packages start no services where there is no systemd.
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -o DPkg::Lock::Timeout=300 -qq "$@"; }

# Only the programs of Postfix, PostgreSQL and PgBouncer are needed; they must not start as services.
case " $* " in
    *" postfix "*)
        echo "postfix postfix/main_mailer_type select No configuration" | "${as_root[@]}" debconf-set-selections
        ;;&
    *" postgresql "*)
        # A file that exists is kept by the package, and somebody's choice.
        "${as_root[@]}" mkdir -p /etc/postgresql-common
        [ -e /etc/postgresql-common/createcluster.conf ] ||
            echo "create_main_cluster = false" | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
        ;;&
    *" pgbouncer "*)
        "${as_root[@]}" mkdir -p /etc/systemd/system
        [ -e /etc/systemd/system/pgbouncer.service ] || "${as_root[@]}" ln -s /dev/null /etc/systemd/system/pgbouncer.service
        ;;
esac
apt install -y --no-install-recommends "$@" || { apt update && apt install -y --no-install-recommends "$@"; }
