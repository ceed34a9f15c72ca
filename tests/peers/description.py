"""Tests the daemon against `/openapi.json` with valid and invalid requests from schemathesis.

    python description.py PATH_OF_JOBBELL

A response must not be a 5xx, and must match the description: status, media type, headers, body, `Allow`. Two checks are
excluded, because no schema describes mail addresses (they are a 422) and empty values count as absent where the
description requires a number. Every run sends the same requests.
"""

import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile

import checks
import deliver

TOKEN = "a-token-for-the-description"
CHECKS = "all"
EXCLUDED_CHECKS = "positive_data_acceptance,negative_data_rejection"
# For the whole run.
SECONDS = 60
TABLE = """\
[smtp]
enable = false
to = "reader@peers.example"
[email]
disabled = "hold"
"""
# Existing names and IDs; generated ones are all unknown.
CONFIG = """\
[[operations]]
include-path = "/v1/hooks/{{name}}"
parameters = {{ name = "huiying" }}
[[operations]]
include-path-regex = "^/v1/deliveries/"
parameters = {{ id = {delivery} }}
[[operations]]
include-path = "/v1/events/{{id}}"
parameters = {{ id = "known" }}
"""


class Daemon(deliver.Daemon):
    """A daemon that requires a token."""

    headers = {"Authorization": f"Bearer {TOKEN}"}


def main():
    binary = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory(prefix="jobbell-description-") as folder, contextlib.ExitStack() as stack:
        folder = pathlib.Path(folder)
        daemon = Daemon(binary, folder, TABLE, {"JOBBELL_SERVER__TOKENS": TOKEN})
        stack.callback(daemon.close)
        daemon.post({"id": "known", "status": "succeeded"})
        delivery = daemon.ended({"id": "known"}, "queued")["id"]
        (folder / "schemathesis.toml").write_text(CONFIG.format(delivery=json.dumps(delivery)))
        words = [pathlib.Path(sys.executable).parent / "schemathesis", "--no-color", "--config-file", folder / "schemathesis.toml", "run"]
        words += [f"{daemon.address}/openapi.json", "--header", f"Authorization: Bearer {TOKEN}", "--checks", CHECKS, "--exclude-checks", EXCLUDED_CHECKS]
        words += ["--generation-deterministic", "--max-time", str(SECONDS), "--request-timeout", "20", "--suppress-health-check", "all"]
        done = subprocess.run(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=4 * SECONDS)
        print(done.stdout)
        counted = [line.strip() for line in done.stdout.splitlines() if " generated, " in line]
        print(f"note: {' '.join(counted)}")
        checks.require("panicked" not in daemon.log.read_text(errors="replace"), "a handler panicked, see the daemon's log")
        daemon.stop()
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
