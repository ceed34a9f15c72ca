"""Runs the client snippets of docs/clients.md, exactly as they stand there, against the real daemon, and reads the mails that they cause.

    python snippets.py PATH_OF_JOBBELL TARGET_FOLDER

A snippet is the fenced block after a line `<!-- snippet: NAME -->`. Only its environment is made for it: the daemon's address and token,
and the services that it calls. Prints a line for each; exit status 1 when one fails.
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
WAITED = 120
MARK = re.compile(r"^<!-- snippet: ([a-z0-9]+) -->\n```[a-z]+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MANIFEST = """\
[package]
name = "snippet"
edition = "2024"
[dependencies]
# What the snippet names, without the TLS that a plain address does not need.
reqwest = { version = "0.13", default-features = false, features = ["json"] }
serde_json = "1"
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
[workspace]
"""


class Generators(http.server.BaseHTTPRequestHandler):
    """As much of ComfyUI and A1111 as the snippets ask for. A prompt is in the history from the second question on."""

    asked = 0

    def do_GET(self):
        prompt = urllib.parse.unquote(self.path.removeprefix("/history/"))
        Generators.asked += 1
        self.answer({} if Generators.asked % 2 else {prompt: history(well=prompt == "well")})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer({"images": ["aGVsbG8="]} if self.path == "/sdapi/v1/txt2img" and body["prompt"] else {})

    def answer(self, value):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, *words):
        pass


def history(well):
    """An entry of ComfyUI's history."""
    graph = {"6": {"class_type": "CLIPTextEncode", "inputs": {"text": "A red fox"}}, "7": {"class_type": "CLIPTextEncode", "inputs": {"text": ["6", 0]}}}
    error = ["execution_error", {"exception_type": "OutOfMemoryError", "exception_message": "CUDA out of memory"}]
    pictures = {"9": {"images": [{"filename": "fox 1&2.png", "subfolder": "", "type": "output"}, {"filename": "t.png", "subfolder": "", "type": "temp"}]}}
    status = {"status_str": "success" if well else "error", "completed": well, "messages": [["execution_start", {}]] + ([] if well else [error])}
    return {"prompt": [7, "id", graph, {}, ["9"]], "outputs": pictures if well else {}, "status": status}


class Daemon(deliver.Daemon):
    """The daemon, asked with its token."""

    headers = {"Authorization": f"Bearer {TOKEN}"}


class Stage:
    """A folder and an environment for the snippets, and what came of them."""

    def __init__(self, binary, target, folder, daemon, inbox, generators):
        self.folder, self.target, self.daemon, self.inbox = folder, target, daemon, inbox
        self.snippets = dict(MARK.findall((ROOT / "docs" / "clients.md").read_text(encoding="utf-8")))
        self.untried = set(self.snippets)
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
        """Runs a snippet as a file of its own and gives what it printed."""
        checks.need(name in self.snippets, f"docs/clients.md has no snippet {name}")
        self.untried.discard(name)
        file = self.folder / f"{name}{suffix}"
        file.write_text(self.snippets[name], encoding="utf-8")
        words = [str(file) if word == "FILE" else word for word in command]
        done = subprocess.run(words, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=WAITED)
        checks.need(done.returncode == status, f"ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def mail(self, status, words):
        """The next mail: to whom it must be, its event as it must be, with these words in its text. Gives the event's record."""
        arrived = self.inbox.next_mail(deliver.PATIENCE)
        checks.need(arrived, "no mail arrived")
        recipient, raw = arrived
        checks.need(recipient == RECIPIENT, f"to {recipient}")
        parsed = email.message_from_bytes(raw, policy=email.policy.SMTP)
        text = parsed.get_body(("plain",)).get_content()
        for word in words:
            checks.need(checks.squeezed(word) in checks.squeezed(text), f"{word!r} is not in the mail:\n{text}")
        event = json.loads(self.daemon.call(f"/v1/events/{parsed['X-Jobbell-Event']}")[1])["event"]
        checks.need(event["status"] == status, f"the event is {event}")
        return event

    def no_mail(self):
        """What was posted has led to no further mail: all deliveries have ended, and nothing is in the inbox."""
        deadline = time.monotonic() + deliver.PATIENCE
        while (stats := json.loads(self.daemon.call("/v1/stats")[1]))["queued"] + stats["sending"]:
            checks.need(time.monotonic() < deadline, f"still under way: {stats}")
            time.sleep(0.05)
        checks.need(self.inbox.next_mail(0) is None, "one mail too many")


def twice(stage, name, command, suffix, status, words):
    """A snippet that gives its event a name: run twice it makes one mail."""
    stage.run(name, command, suffix)
    event = stage.mail(status, words)
    checks.need(event["id"] == f"{name}-1", f"the event is {event}")
    stage.run(name, command, suffix)
    stage.no_mail()


def curl(stage):
    twice(stage, "curl", ["sh", "FILE"], ".sh", "failed", ["Poster", "OOM", "out of memory"])


def python(stage):
    twice(stage, "python", [sys.executable, "FILE"], ".py", "succeeded", ["A cute little kitten", "flux-dev", "https://img.example.com/kitten.png"])


def node(stage):
    twice(stage, "node", ["node", "FILE"], ".mjs", "succeeded", ["A cute little kitten", "https://img.example.com/kitten.png"])


def rust(stage):
    crate = stage.folder / "crate"
    (crate / "src").mkdir(parents=True)
    (crate / "Cargo.toml").write_text(MANIFEST)
    # The versions that are here already.
    (crate / "Cargo.lock").write_bytes((ROOT / "Cargo.lock").read_bytes())
    (crate / "src/main.rs").write_text(stage.snippets["rust"], encoding="utf-8")
    words = ["cargo", "build", "--quiet", "--manifest-path", crate / "Cargo.toml", "--target-dir", stage.target]
    built = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=600)
    checks.need(built.returncode == 0, built.stderr)
    twice(stage, "rust", [f"{stage.target}/debug/snippet"], ".rs", "succeeded", ["Render of scene 7", "https://img.example.com/scene-7.png"])


def event(stage):
    (stage.folder / "photos").mkdir()
    stage.run("event", ["sh", "FILE"], ".sh")
    stage.mail("succeeded", ["Photos saved"])
    (stage.folder / "photos").rmdir()
    stage.run("event", ["sh", "FILE"], ".sh")
    stage.mail("failed", ["tar ended with 2"])


def comfyui(stage):
    stage.run("comfyui", ["sh", "FILE", "well"], ".sh")
    made = stage.mail("succeeded", ["A red fox"])
    checks.need([picture["url"].partition("/view?")[2] for picture in made["images"]] == ["filename=fox%201%262.png&subfolder=&type=output"], f"{made}")
    stage.run("comfyui", ["sh", "FILE", "ill"], ".sh")
    checks.need(stage.mail("failed", ["OutOfMemoryError", "CUDA out of memory"])["id"] == "comfyui-ill", "another id")


def a1111(stage):
    stage.run("a1111", ["sh", "FILE"], ".sh")
    stage.mail("succeeded", ["txt2img"])
    checks.need(json.loads((stage.folder / "answer.json").read_text())["images"], "no picture came")
    stage.environment["A1111_URL"] = f"http://127.0.0.1:{inboxes.free_port()}"
    stage.run("a1111", ["sh", "FILE"], ".sh", status=7)
    stage.mail("failed", ["exit 7"])


def run(stage):
    (stage.folder / "train.py").write_text("print('epoch 5')\n")
    checks.need(stage.run("run", ["sh", "FILE"], ".sh") == "epoch 5\n", "the output was changed")
    stage.mail("succeeded", ["python3 train.py"])
    (stage.folder / "train.py").write_text("print('epoch 4')\nraise MemoryError('no room')\n")
    stage.run("run", ["sh", "FILE"], ".sh", status=1)
    stage.mail("failed", ["exit 1", "MemoryError: no room"])


def main():
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    binary, target = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    well = True
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jobbell-snippets-")))
        inbox = stack.enter_context(contextlib.closing(inboxes.Aiosmtpd()))
        home = folder / "daemon"
        home.mkdir()
        table = deliver.smtp_table("127.0.0.1", inbox.port, username=None, password=None) + '[email]\nlocale = "en"\n'
        daemon = Daemon(str(binary), home, table, {"JOBBELL_SERVER__TOKENS": TOKEN})
        stack.callback(daemon.close)
        generators = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Generators)
        stack.callback(generators.server_close)
        threading.Thread(target=generators.serve_forever, daemon=True).start()
        stack.callback(generators.shutdown)
        stage = Stage(binary, target, folder, daemon, inbox, f"http://127.0.0.1:{generators.server_port}")
        for snippet in (curl, python, node, rust, event, comfyui, a1111, run):
            start = time.monotonic()
            try:
                snippet(stage)
                stage.no_mail()
                print(f"ok {snippet.__name__}, {time.monotonic() - start:.1f} s")
            except Exception as error:  # whatever it is, it is this snippet's failure, and the others still run
                well = False
                print(f"FAILED {snippet.__name__}: {error if isinstance(error, checks.Wrong) else traceback.format_exc()}")
        if stage.untried:
            well = False
            print(f"FAILED nobody runs these snippets: {sorted(stage.untried)}")
        if not well:
            print("--- the daemon's log\n" + daemon.log.read_text(errors="replace")[-4000:])
        print(f"note: {len(stage.snippets)} snippets of docs/clients.md, as they stand there")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
