"""Runs the client snippets of docs/clients.md unchanged against the daemon and checks the resulting mails.

    python snippets.py PATH_OF_JOBBELL TARGET_FOLDER

A snippet is the fenced block after a line `<!-- snippet: NAME -->`. The environment provides the daemon's address and
token, and imitations of the services it calls. Prints one line per snippet; exit status 1 if one fails.
"""

import contextlib
import email.policy
import http.server
import json
import logging
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse

import checks
import deliver
import inboxes

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKEN = "a-token-for-the-snippets"
RECIPIENT = "you@example.com"
COMMAND_TIMEOUT = 120
SNIPPET = re.compile(r"^<!-- snippet: ([a-z0-9]+) -->\n```[a-z]+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MANIFEST = """\
[package]
name = "snippet"
edition = "2024"
[dependencies]
# The dependencies of the snippet, without TLS.
reqwest = { version = "0.13", default-features = false, features = ["json"] }
serde_json = "1"
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
[workspace]
"""


class FakeGenerators(http.server.BaseHTTPRequestHandler):
    """The parts of ComfyUI and A1111 that the snippets use. A prompt is in the history from the second request on."""

    asked = 0

    def do_GET(self):
        prompt = urllib.parse.unquote(self.path.removeprefix("/history/"))
        FakeGenerators.asked += 1
        self.answer({} if FakeGenerators.asked % 2 else {prompt: history(succeeded=prompt == "good")})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer({"images": ["aGVsbG8="]} if self.path == "/sdapi/v1/txt2img" and body["prompt"] else {})

    def answer(self, value):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, *words):
        pass


def history(succeeded):
    """An entry of the ComfyUI history."""
    graph = {"6": {"class_type": "CLIPTextEncode", "inputs": {"text": "A red fox"}}, "7": {"class_type": "CLIPTextEncode", "inputs": {"text": ["6", 0]}}}
    error = ["execution_error", {"exception_type": "OutOfMemoryError", "exception_message": "CUDA out of memory"}]
    pictures = {"9": {"images": [{"filename": "fox 1&2.png", "subfolder": "", "type": "output"}, {"filename": "t.png", "subfolder": "", "type": "temp"}]}}
    status = {"status_str": "success" if succeeded else "error", "completed": succeeded, "messages": [["execution_start", {}]] + ([] if succeeded else [error])}
    return {"prompt": [7, "id", graph, {}, ["9"]], "outputs": pictures if succeeded else {}, "status": status}


class Daemon(deliver.Daemon):
    """A daemon that requires a token."""

    headers = {"Authorization": f"Bearer {TOKEN}"}


class Runner:
    """Runs snippets in a directory with a prepared environment and checks the results."""

    def __init__(self, binary, target, folder, daemon, inbox, generators):
        self.folder, self.target, self.daemon, self.inbox = folder, target, daemon, inbox
        self.snippets = dict(SNIPPET.findall((ROOT / "docs" / "clients.md").read_text(encoding="utf-8")))
        self.not_run = set(self.snippets)
        programs = folder / "bin"
        programs.mkdir()
        (programs / "jobbell").symlink_to(binary)
        listen = daemon.address.removeprefix("http://")
        (folder / "config.toml").write_text(f'[server]\nlisten = "{listen}"\ntokens = ["{TOKEN}"]\n')
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": os.environ.get("HOME", str(folder)),
            "BELL_URL": daemon.address,
            "BELL_TOKEN": TOKEN,
            "COMFYUI_URL": generators,
            "A1111_URL": generators,
        }

    def run(self, name, command, suffix, status=0):
        """Runs a snippet from a file and returns its output."""
        checks.require(name in self.snippets, f"docs/clients.md has no snippet {name}")
        self.not_run.discard(name)
        file = self.folder / f"{name}{suffix}"
        file.write_text(self.snippets[name], encoding="utf-8")
        words = [str(file) if word == "FILE" else word for word in command]
        done = subprocess.run(words, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=COMMAND_TIMEOUT)
        checks.require(done.returncode == status, f"exit status {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def mail(self, status, words):
        """Checks recipient, status and text of the next mail; returns its event."""
        arrived = self.inbox.next_mail(deliver.TIMEOUT)
        checks.require(arrived, "no mail arrived")
        recipient, raw = arrived
        checks.require(recipient == RECIPIENT, f"to {recipient}")
        parsed = email.message_from_bytes(raw, policy=email.policy.SMTP)
        text = parsed.get_body(("plain",)).get_content()
        for word in words:
            checks.require(checks.without_spaces(word) in checks.without_spaces(text), f"{word!r} is not in the mail:\n{text}")
        event = json.loads(self.daemon.call(f"/v1/events/{parsed['X-Jobbell-Event']}")[1])["event"]
        checks.require(event["status"] == status, f"the event is {event}")
        return event

    def no_mail(self):
        """Checks that all deliveries have ended and the inbox is empty."""
        deadline = time.monotonic() + deliver.TIMEOUT
        while (stats := json.loads(self.daemon.call("/v1/stats")[1]))["queued"] + stats["sending"]:
            checks.require(time.monotonic() < deadline, f"still pending: {stats}")
            time.sleep(0.05)
        checks.require(self.inbox.next_mail(0) is None, "unexpected mail")


def twice(runner, name, command, suffix, status, words):
    """Runs a snippet with a fixed event ID twice; the second run must send no mail."""
    runner.run(name, command, suffix)
    event = runner.mail(status, words)
    checks.require(event["id"] == f"{name}-1", f"the event is {event}")
    runner.run(name, command, suffix)
    runner.no_mail()


def curl(runner):
    twice(runner, "curl", ["sh", "FILE"], ".sh", "failed", ["Poster", "OOM", "out of memory"])


def python(runner):
    twice(runner, "python", [sys.executable, "FILE"], ".py", "succeeded", ["A cute little kitten", "flux-dev", "https://img.example.com/kitten.png"])


def node(runner):
    twice(runner, "node", ["node", "FILE"], ".mjs", "succeeded", ["A cute little kitten", "https://img.example.com/kitten.png"])


def rust(runner):
    crate = runner.folder / "crate"
    (crate / "src").mkdir(parents=True)
    (crate / "Cargo.toml").write_text(MANIFEST)
    # The versions of this repository.
    (crate / "Cargo.lock").write_bytes((ROOT / "Cargo.lock").read_bytes())
    (crate / "src/main.rs").write_text(runner.snippets["rust"], encoding="utf-8")
    words = ["cargo", "build", "--quiet", "--manifest-path", crate / "Cargo.toml", "--target-dir", runner.target]
    built = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=600)
    checks.require(built.returncode == 0, built.stderr)
    twice(runner, "rust", [f"{runner.target}/debug/snippet"], ".rs", "succeeded", ["Render of scene 7", "https://img.example.com/scene-7.png"])


def event(runner):
    (runner.folder / "photos").mkdir()
    runner.run("event", ["sh", "FILE"], ".sh")
    runner.mail("succeeded", ["Photos saved"])
    (runner.folder / "photos").rmdir()
    runner.run("event", ["sh", "FILE"], ".sh")
    runner.mail("failed", ["tar ended with 2"])


def comfyui(runner):
    runner.run("comfyui", ["sh", "FILE", "good"], ".sh")
    event = runner.mail("succeeded", ["A red fox"])
    checks.require([picture["url"].partition("/view?")[2] for picture in event["images"]] == ["filename=fox%201%262.png&subfolder=&type=output"], f"{event}")
    runner.run("comfyui", ["sh", "FILE", "bad"], ".sh")
    checks.require(runner.mail("failed", ["OutOfMemoryError", "CUDA out of memory"])["id"] == "comfyui-bad", "unexpected id")


def a1111(runner):
    runner.run("a1111", ["sh", "FILE"], ".sh")
    runner.mail("succeeded", ["txt2img"])
    checks.require(json.loads((runner.folder / "answer.json").read_text())["images"], "no image")
    runner.environment["A1111_URL"] = f"http://127.0.0.1:{inboxes.free_port()}"
    runner.run("a1111", ["sh", "FILE"], ".sh", status=7)
    runner.mail("failed", ["exit 7"])


def run(runner):
    (runner.folder / "train.py").write_text("print('epoch 5')\n")
    checks.require(runner.run("run", ["sh", "FILE"], ".sh") == "epoch 5\n", "the output was changed")
    runner.mail("succeeded", ["python3 train.py"])
    (runner.folder / "train.py").write_text("print('epoch 4')\nraise MemoryError('no memory')\n")
    runner.run("run", ["sh", "FILE"], ".sh", status=1)
    runner.mail("failed", ["exit 1", "MemoryError: no memory"])


def main():
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    binary, target = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    ok = True
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jobbell-snippets-")))
        inbox = stack.enter_context(contextlib.closing(inboxes.Aiosmtpd()))
        home = folder / "daemon"
        home.mkdir()
        table = deliver.smtp_table("127.0.0.1", inbox.port, username=None, password=None) + '[email]\nlocale = "en"\n'
        daemon = Daemon(str(binary), home, table, {"JOBBELL_SERVER__TOKENS": TOKEN})
        stack.callback(daemon.close)
        generators = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeGenerators)
        stack.callback(generators.server_close)
        threading.Thread(target=generators.serve_forever, daemon=True).start()
        stack.callback(generators.shutdown)
        runner = Runner(binary, target, folder, daemon, inbox, f"http://127.0.0.1:{generators.server_port}")
        for snippet in (curl, python, node, rust, event, comfyui, a1111, run):
            start = time.monotonic()
            try:
                snippet(runner)
                runner.no_mail()
                print(f"ok {snippet.__name__}, {time.monotonic() - start:.1f} s")
            except Exception as error:  # any error fails this snippet only
                ok = False
                print(f"FAILED {snippet.__name__}: {error if isinstance(error, checks.CheckFailed) else traceback.format_exc()}")
        if runner.not_run:
            ok = False
            print(f"FAILED snippets without a test: {sorted(runner.not_run)}")
        if not ok:
            print("--- the daemon's log\n" + daemon.log.read_text(errors="replace")[-4000:])
        print(f"note: {len(runner.snippets)} snippets of docs/clients.md")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
