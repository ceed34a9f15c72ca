"""Runs the daemon with the configuration of an image generator against real mail servers and checks the mails.

    python deliver.py [--without-postfix] [--exim=PROGRAM] PATH_OF_JOBBELL

Each scenario starts a daemon, posts a success and a failure, parses both mails with Python's email package, checks the
state of the deliveries, and stops the daemon. Prints one line per scenario; exit status 1 if one fails.
"""

import contextlib
import json
import logging
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request
import zlib

import checks
import inboxes

LOGIN = ("huiying@peers.example", "canary-authorization-code")
SENDER = LOGIN[0]
RECIPIENT = "reader@peers.example"
TIMEOUT = 60

SUCCESS = {
    "id": "gen-{name}-success",
    "status": "succeeded",
    "prompt": "一只可爱的小猫 <script>alert(1)</script>",
    "model": "google/gemini-2.5-flash-image-preview:free",
    "size": "1024x1024",
    "format": "png",
    "images": [{"url": "https://img.example.com/a.png?x=1&y=2", "width": 1024, "height": 1024, "file_size": 245760}],
    "started_at": "2026-01-01T00:00:00Z",
    "finished_at": "2026-01-01T00:00:09Z",
}
FAILURE = {
    "id": "gen-{name}-failure",
    "status": "failed",
    "prompt": "A cute little kitten",
    "model": "flux-dev",
    "error": {"code": "NSFW", "message": "The prompt was refused by the content filter"},
    "locale": "en",
}

MESSAGES = (
    {
        "id": "msg-{name}-code",
        "template": "verification_code",
        "expires_in": "10m",
        "params": {"code": "483921", "purpose": "登录", "app": "绘影", "user": "小王"},
    },
    {
        "id": "msg-{name}-reset",
        "template": "password_reset",
        "locale": "en",
        "params": {"url": "https://app.example.com/reset?token=2b7f&user=42", "app": "Studio, Inc. <b>", "user": "Ann"},
    },
    {
        "id": "msg-{name}-notice",
        "template": "system_notice",
        "params": {"title": "维护 <script>alert(1)</script>", "message": "周六 02:00 停机。\r\nBcc: x@example.com\n\n.\n{{ 7*7 }}"},
    },
)

# The examples of the generator's documentation, with other credentials.
EXAMPLES = {
    "qq": ("smtp.qq.com", 587),
    "gmail": ("smtp.gmail.com", 587),
    "163": ("smtp.163.com", 25),
}


def smtp_table(host, port, **more):
    """An `[smtp]` table."""
    values = {"enable": True, "host": host, "port": port, "username": LOGIN[0], "password": LOGIN[1], "from": SENDER, "to": RECIPIENT} | more
    return "[smtp]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items() if value is not None)


def smtp_variables(host, port, **more):
    """The `SMTP_*` variables."""
    values = {"ENABLE": "true", "HOST": host, "PORT": port, "USERNAME": LOGIN[0], "PASSWORD": LOGIN[1], "FROM": SENDER, "TO": RECIPIENT} | more
    return {f"SMTP_{key}": str(value) for key, value in values.items() if value is not None}


class Daemon:
    """`jobbell serve` in a separate directory."""

    headers = {}

    def __init__(self, binary, folder, table="", variables=None):
        self.address = f"http://127.0.0.1:{inboxes.free_port()}"
        config = folder / "config.toml"
        config.write_text(f'[server]\nlisten = "{self.address.removeprefix("http://")}"\n[queue]\nstate_dir = "{folder}/state"\n{table}')
        # An empty environment: SMTP_* variables of other programs would be read.
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder)} | (variables or {})
        self.log = folder / "daemon.log"
        with self.log.open("wb") as log:
            words = [binary, "--config", config, "serve"]
            self.process = subprocess.Popen(words, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        self.wait_until_ready()

    def wait_until_ready(self):
        deadline = time.monotonic() + TIMEOUT
        while True:
            with contextlib.suppress(OSError):
                if self.call("/readyz")[0] == 200:
                    return
            if self.process.poll() is not None:
                raise checks.CheckFailed(f"the daemon exited with status {self.process.returncode}")
            if time.monotonic() > deadline:
                raise checks.CheckFailed("the daemon is not ready in time")
            time.sleep(0.05)

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"} | self.headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read()

    def post(self, event, path="/v1/events"):
        status, body = self.call(path, event)
        checks.require(status == 202, f"{status} to the event: {body.decode()}")
        checks.require(json.loads(body)["id"] == event["id"], f"unexpected id: {body.decode()}")

    def ended(self, event, state):
        """Waits until the event's only delivery is in this state and returns it."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            status, body = self.call(f"/v1/events/{event['id']}")
            checks.require(status == 200, f"{status} for the event: {body.decode()}")
            deliveries = json.loads(body)["deliveries"]
            checks.require(len(deliveries) == 1, f"{len(deliveries)} deliveries")
            if deliveries[0]["state"] == state:
                return deliveries[0]
            checks.require(deliveries[0]["state"] in ("queued", "sending") and time.monotonic() < deadline, f"not {state}: {body.decode()}")
            time.sleep(0.05)

    def stop(self):
        """Stops the daemon: exit status 0, no password in the log."""
        self.process.send_signal(signal.SIGTERM)
        checks.require(self.process.wait(40) == 0, f"the daemon exited with status {self.process.returncode}")
        checks.require(LOGIN[1] not in self.log.read_text(errors="replace"), "the password is in the log")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def named(event, name):
    return event | {"id": event["id"].format(name=name)}


def events_arrive(daemon, inbox, name):
    """A success and a failure event are accepted, delivered correctly and recorded as sent."""
    for event in (named(SUCCESS, name), named(FAILURE, name)):
        daemon.post(event)
        arrived = inbox.next_mail(TIMEOUT)
        checks.require(arrived, "no mail arrived")
        recipient, raw = arrived
        checks.require(recipient == RECIPIENT, f"to {recipient}")
        delivery = daemon.ended(event, "sent")
        try:
            checks.mail(raw, event, SENDER, RECIPIENT, delivery["message_id"])
        except checks.CheckFailed as failure:
            raise checks.CheckFailed(f"{failure}\n--- the mail\n{raw.decode(errors='replace')[:6000]}") from None
    checks.require(inbox.next_mail(0.5) is None, "unexpected mail")


def messages_arrive(daemon, inbox, name):
    """Messages in both languages, with characters that could break out of a header or of the HTML."""
    for posted in MESSAGES:
        posted = named(posted, name) | {"to": RECIPIENT}
        daemon.post(posted, "/v1/messages")
        arrived = inbox.next_mail(TIMEOUT)
        checks.require(arrived, "no mail arrived")
        delivery = daemon.ended(posted, "sent")
        checks.require(delivery["lane"] == "urgent", f"lane {delivery['lane']}")
        checks.message_mail(arrived[1], posted, SENDER, RECIPIENT, delivery["message_id"])
    checks.require("483921" not in daemon.log.read_text(errors="replace"), "a code is in the log")


def thumbnails_arrive(daemon, inbox, name):
    """Thumbnails of two local images are embedded in the mail."""
    event = {"id": f"{name}-pictures", "status": "succeeded", "prompt": "Two squares", "images": [{"local_path": "red.png"}, {"local_path": "blue.png"}]}
    daemon.post(event)
    arrived = inbox.next_mail(TIMEOUT)
    checks.require(arrived, "no mail arrived")
    delivery = daemon.ended(event, "sent")
    checks.pictures(arrived[1], event, SENDER, RECIPIENT, delivery["message_id"], 2)


def picture(colour):
    """A PNG of 64 by 64 pixels (RFC 2083)."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(colour) * 64) * 64
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def fails_over(primary):
    """The backup delivers within the same attempt; the primary is used again after it has recovered and its cooldown is over."""

    def expect(daemon, backup, name):
        event = named(SUCCESS, name)
        daemon.post(event)
        arrived = backup.next_mail(TIMEOUT)
        checks.require(arrived, "no mail arrived at the backup")
        delivery = daemon.ended(event, "sent")
        tries = [(attempt["number"], attempt["server"], attempt["result"] == "sent") for attempt in delivery["attempts"]]
        checks.require(tries == [(1, "primary", False), (1, "backup", True)], f"tries {delivery['attempts']}")
        checks.mail(arrived[1], event, SENDER, RECIPIENT, delivery["message_id"])
        primary.recover()
        deadline, mails = time.monotonic() + TIMEOUT, 0
        while not (returned := primary.next_mail(0.1)):
            checks.require(time.monotonic() < deadline, "the primary is not used again")
            mails += 1
            event = named(SUCCESS, f"{name}-{mails}")
            daemon.post(event)
            delivery = daemon.ended(event, "sent")
        checks.require([attempt["server"] for attempt in delivery["attempts"]] == ["primary"], f"tries {delivery['attempts']}")
        checks.mail(returned[1], event, SENDER, RECIPIENT, delivery["message_id"])
        while backup.next_mail(0.1):
            pass

    return expect


def nothing_arrives(daemon, inbox, name):
    """With `enable = false` events are recorded and no server is contacted."""
    event = named(SUCCESS, name)
    daemon.post(event)
    delivery = daemon.ended(event, "suppressed")
    checks.require(delivery["reason"] == "disabled", f"reason {delivery['reason']}")
    checks.require(inbox.connections == 0, f"{inbox.connections} connections with enable = false")


def scenario(binary, name, inbox, expect, table="", variables=None):
    """Runs one scenario in a temporary directory; returns whether it succeeded."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="jobbell-peers-") as folder:
        folder = pathlib.Path(folder)
        daemon = None
        try:
            daemon = Daemon(binary, folder, table, variables)
            expect(daemon, inbox, name)
            daemon.stop()
        except Exception as error:  # any error fails this scenario only
            print(f"FAILED {name}: {error if isinstance(error, checks.CheckFailed) else traceback.format_exc()}")
            log = folder / "daemon.log"
            if log.exists():
                print("--- the daemon's log\n" + log.read_text(errors="replace")[-6000:].replace(LOGIN[1], "***"))
            if isinstance(inbox, (inboxes.Postfix, inboxes.Exim)):
                print("--- the mail server's log\n" + inbox.log()[-4000:])
            return False
        finally:
            if daemon:
                daemon.close()
    print(f"ok {name}, {time.monotonic() - start:.1f} s")
    return True


def examples_are_accepted(binary):
    """`jobbell check` accepts the generator's examples, from a file and from the environment."""
    ok = True
    for name, (host, port) in EXAMPLES.items():
        for way in ("file", "environment"):
            with tempfile.TemporaryDirectory(prefix="jobbell-peers-") as folder:
                config = pathlib.Path(folder) / "config.toml"
                config.write_text(smtp_table(host, port) if way == "file" else "")
                environment = {"PATH": os.environ["PATH"], "HOME": folder} | (smtp_variables(host, port) if way == "environment" else {})
                words = [binary, "--config", config, "check"]
                done = subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True, timeout=60)
            said = done.stdout + done.stderr
            good = done.returncode == 0 and LOGIN[1] not in said
            ok = ok and good
            print(f"{'ok' if good else 'FAILED'} check of the {name} example by {way}" + ("" if good else f": {done.returncode}\n{said}"))
    return ok


def main():
    # aiosmtpd logs a deprecation warning on every login.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    without_postfix = "--without-postfix" in sys.argv
    exim = next((word.removeprefix("--exim=") for word in sys.argv if word.startswith("--exim=")), None)
    binary = str(pathlib.Path(sys.argv[-1]).resolve())
    results = [examples_are_accepted(binary)]
    with contextlib.ExitStack() as stack:
        # Readable for the users of Postfix.
        base = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jobbell-peers-")))
        base.chmod(0o755)
        certificate = inboxes.Certificate(base)
        root = str(certificate.root)

        def run(name, inbox, expect=events_arrive, **config):
            results.append(scenario(binary, name, inbox, expect, **config))

        plain = stack.enter_context(contextlib.closing(inboxes.Aiosmtpd()))
        secure = stack.enter_context(contextlib.closing(inboxes.Aiosmtpd(certificate, LOGIN)))
        bare = {"username": None, "password": None}
        run("aiosmtpd-plain-by-file", plain, table=smtp_table("127.0.0.1", plain.port, **bare))
        run("aiosmtpd-starttls-login-by-file", secure, table=smtp_table("127.0.0.1", secure.port, tls_ca_file=root))
        run("aiosmtpd-starttls-login-by-environment", secure, variables=smtp_variables("127.0.0.1", secure.port, TLS_CA_FILE=root))
        run("aiosmtpd-messages", plain, messages_arrive, table=smtp_table("127.0.0.1", plain.port, **bare))
        (base / "red.png").write_bytes(picture((200, 40, 40)))
        (base / "blue.png").write_bytes(picture((40, 40, 200)))
        previews = f'[email]\npreview = "thumbnail"\nimage_root = "{base}"\n'
        run("aiosmtpd-pictures", plain, thumbnails_arrive, table=smtp_table("127.0.0.1", plain.port, **bare) + previews)
        off = stack.enter_context(contextlib.closing(inboxes.Aiosmtpd()))
        run("aiosmtpd-switched-off-by-environment", off, nothing_arrives, variables=smtp_variables("127.0.0.1", off.port, ENABLE="false"))
        if not without_postfix:
            postfix = stack.enter_context(contextlib.closing(inboxes.Postfix(base, certificate, LOGIN)))
            run("postfix-starttls-login-by-file", postfix, table=smtp_table("localhost", postfix.port, tls="starttls", tls_ca_file=root))
            run("postfix-starttls-login-by-environment", postfix, variables=smtp_variables("localhost", postfix.port, TLS_CA_FILE=root))
        backup = secure
        if exim:
            backup = stack.enter_context(contextlib.closing(inboxes.Exim(exim, base / "exim", certificate, LOGIN)))
            run("exim-starttls-login-by-file", backup, table=smtp_table("localhost", backup.port, tls="starttls", tls_ca_file=root))
        broken_servers = {
            "dead": inboxes.UnreachableServer(certificate, LOGIN),
            "silent": inboxes.SilentServer(certificate, LOGIN),
            "421": inboxes.RefusingServer(certificate, LOGIN, "421 4.3.2 closing for a while"),
            "451": inboxes.RefusingServer(certificate, LOGIN, "451 4.3.0 try again later"),
            "535": inboxes.RefusingServer(certificate, LOGIN, "535"),
        }
        for name, primary in broken_servers.items():
            stack.enter_context(contextlib.closing(primary))
            more = {"tls": "starttls", "tls_ca_file": root, "cooldown": "1s", "cooldown_max": "1s", "timeout": "2s"}
            servers = smtp_table("localhost", primary.port, name="primary", **more)
            servers += smtp_table("localhost", backup.port, name="backup", **more, to=None).replace("[smtp]", "[[smtp.backup]]")
            run(f"failover-from-{name}", backup, fails_over(primary), table=servers)
    print(f"note: {sum(results)} of {len(results)} succeeded")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
