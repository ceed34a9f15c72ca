#!/usr/bin/env bash
# The fault suite for about half an hour instead of minutes: 2,000 rounds of kill -9, storms of 3,000 refusals each, 1,000 rounds of everything at once,
# and ten minutes of silence after a final dot.
#
#     tests/soak.sh                                                      # all of it, or the tests with a word in their name: tests/soak.sh kills
#     JOBBELL_TEST_ROUNDS=200 JOBBELL_TEST_CHAOS=50 tests/soak.sh        # shorter
#     JOBBELL_TEST_SEED=N tests/soak.sh                                  # the seed that a line of figures names, again
#
# The same code as in tests/run.sh (tests/it/faults). Ends with the conservation lines and with the exit status of the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

export JOBBELL_TEST_ROUNDS="${JOBBELL_TEST_ROUNDS:-2000}"
export JOBBELL_TEST_CHAOS="${JOBBELL_TEST_CHAOS:-1000}"
export JOBBELL_TEST_REFUSALS="${JOBBELL_TEST_REFUSALS:-3000}"
# The test with 5,000 connections opens them all itself.
ulimit -n "$(ulimit -Hn)" || true

target=$(cargo metadata --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
figures=$target/tmp/conservation
rm -f "$figures"
start=$SECONDS
status=0
cargo test --locked --test it "faults::${1:-}" -- --include-ignored --test-threads 2 || status=$?
printf '\n== figures after %s s\n' "$((SECONDS - start))"
[ -f "$figures" ] && cat "$figures"
exit "$status"
