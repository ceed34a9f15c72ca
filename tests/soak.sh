#!/usr/bin/env bash
# The fault suite for about an hour instead of minutes: 2,000 rounds of kill -9, storms of 3,000 refusals each, 1,000 rounds of combined
# faults, ten minutes of silence after a final dot, a minute with 3,000 sockets that send partial requests, 200 rounds of kill -9 of one of two nodes
# and 100 stops of their PostgreSQL.
#
#     tests/soak.sh                                                      # everything, or the tests whose name contains a word: tests/soak.sh kills
#     JOBBELL_TEST_ROUNDS=200 JOBBELL_TEST_CHAOS=50 tests/soak.sh        # shorter
#     JOBBELL_TEST_SEED=N tests/soak.sh                                  # repeat the seed of a line of figures
#
# First, each fuzz target runs for 60 seconds under a memory limit. `tests/soak.sh fuzz` runs only the fuzz targets, JOBBELL_TEST_FUZZ=SECONDS
# changes the time, 0 skips them.
#
# The code is the same as in tests/run.sh (tests/faults). Prints the conservation figures and exits with the status of the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

export JOBBELL_TEST_ROUNDS="${JOBBELL_TEST_ROUNDS:-2000}"
export JOBBELL_TEST_CHAOS="${JOBBELL_TEST_CHAOS:-1000}"
export JOBBELL_TEST_NODE_KILLS="${JOBBELL_TEST_NODE_KILLS:-200}"
export JOBBELL_TEST_SERVER_STOPS="${JOBBELL_TEST_SERVER_STOPS:-100}"
export JOBBELL_TEST_REFUSALS="${JOBBELL_TEST_REFUSALS:-3000}"
# The number of sockets that reconnect whenever they are closed, and for how long; an honest request must be served within two seconds.
export JOBBELL_TEST_HOLDERS="${JOBBELL_TEST_HOLDERS:-3000}"
export JOBBELL_TEST_HOLD_SECONDS="${JOBBELL_TEST_HOLD_SECONDS:-60}"
# One test opens 5,000 connections.
ulimit -n "$(ulimit -Hn)" || true

# Every fuzz target, starting with its corpus; new inputs are discarded.
fuzz() {
    local seconds=$1 tools=$2/tools scratch target
    command -v cargo-fuzz >/dev/null || PATH=$tools/bin:$PATH
    command -v cargo-fuzz >/dev/null || cargo install --quiet --locked --root "$tools" cargo-fuzz
    scratch=$(mktemp -d)
    for target in tests/fuzz/fuzz_targets/*.rs; do
        target=$(basename "$target" .rs)
        printf '== fuzz %s for %s s\n' "$target" "$seconds"
        mkdir "$scratch/$target"
        # Stable Rust with the flags that coverage needs; 600 MiB of memory, 5 s for one input.
        RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none --target-dir "$2/fuzz" "$target" "$scratch/$target" "tests/fuzz/corpus/$target" -- \
            -max_total_time="$seconds" -rss_limit_mb=600 -malloc_limit_mb=256 -timeout=5 -print_final_stats=1 2>&1 | grep -E 'ERROR|SUMMARY|panicked|stat::number_of_executed|stat::peak_rss'
    done
    rm -rf "$scratch"
}

target=$(cargo metadata --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
case ${1:-} in
    fuzz | "") [ "${JOBBELL_TEST_FUZZ:-60}" = 0 ] || fuzz "${JOBBELL_TEST_FUZZ:-60}" "$target" ;;
esac
[ "${1:-}" != fuzz ] || exit 0
figures=$target/tmp/conservation
rm -f "$figures"
start=$SECONDS
status=0
cargo test --locked --test faults "${1:-}" -- --include-ignored --test-threads 2 || status=$?
# Alone and optimized, because it measures times.
if [[ "hostile::slow_bodies" == *"${1:-}"* ]]; then
    cargo test --locked --release --test it hostile::slow_bodies::requests_are_served_while -- --test-threads 1 || status=$?
fi
# Plans with a million rows in each table.
if [[ "queue::plans" == *"${1:-}"* ]]; then
    JOBBELL_TEST_PLAN_ROWS=1000000 cargo test --locked --test it queue::plans -- --test-threads 1 || status=$?
fi
printf '\n== figures after %s s\n' "$((SECONDS - start))"
[ -f "$figures" ] && cat "$figures"
exit "$status"
