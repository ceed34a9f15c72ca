#!/usr/bin/env python3
"""Takes screenshots of the golden mails (two phones and a desktop, light and dark) and makes a contact sheet.

    tests/screenshots.py OUT_DIR [CASE ...]

Needs Debian's `chromium`, `fonts-noto-cjk`, `fonts-noto-color-emoji` (installed if missing and run as root) and Pillow.
It needs no network: images of https://img.example.com are drawn locally. Chromium is controlled through its debugging
pipe, the only reliable way to set prefers-color-scheme, the width of a phone and the full height.
"""

import base64
import colorsys
import hashlib
import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

GOLDEN = pathlib.Path(__file__).parent / "it" / "golden"
SIZES = {"narrow": (320, 2), "phone": (375, 2), "desktop": (1280, 1)}
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe", "--allow-file-access-from-files"]


def prepare():
    """Installs missing packages if possible."""
    if shutil.which("chromium") is None:
        if os.geteuid() != 0:
            sys.exit("chromium is missing: apt-get install chromium fonts-noto-cjk fonts-noto-color-emoji")
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium", "fonts-noto-cjk", "fonts-noto-color-emoji"], check=True)
    try:
        import PIL  # noqa: F401
    except ImportError:
        sys.exit("Pillow is missing: pip install pillow")


def draw(url, folder):
    """Draws a landscape with colours derived from the URL."""
    from PIL import Image, ImageDraw, ImageFilter

    digest = hashlib.sha256(url.encode()).digest()
    file = folder / f"{digest.hex()[:16]}.png"
    if file.exists():
        return file
    width, height = (512, 748) if "portrait" in url else (512, 384) if "night" in url else (512, 512)
    hue = digest[0] / 255

    def colour(shift, saturation, value):
        return tuple(int(255 * part) for part in colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value))

    image = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(image)
    for y in range(height):
        share = y / height
        top, bottom = colour(0, 0.55, 0.35), colour(0.12, 0.45, 0.95)
        pen.line([(0, y), (width, y)], tuple(int(a + (b - a) * share) for a, b in zip(top, bottom)))
    x, y, r = width * (0.25 + digest[1] / 512), height * 0.38, width * 0.09
    pen.ellipse([x - r, y - r, x + r, y + r], fill=colour(0.14, 0.2, 1))
    image = image.filter(ImageFilter.GaussianBlur(2))
    pen = ImageDraw.Draw(image)
    for layer in range(3):
        base = height * (0.58 + 0.14 * layer)
        points = [(0, height)]
        for step in range(13):
            swing = digest[(layer * 9 + step) % 32] / 255 - 0.5
            points.append((width * step / 12, base + swing * height * 0.16))
        pen.polygon(points + [(width, height)], fill=colour(0.02 * layer, 0.5, 0.42 - 0.12 * layer))
    image.save(file)
    return file


def localise(mail, folder):
    """Replaces the images of the mail with local ones; some stay broken on purpose."""
    def source(match):
        url = html.unescape(match.group(1))
        broken = "script" in url or "broken" in url
        return 'src="file:///nowhere.png"' if broken else f'src="{draw(url, folder).as_uri()}"'

    return re.sub(r'src="(https?://[^"]*)"', source, mail)


class Browser:
    """Chromium behind its debugging pipe: one JSON object, one NUL."""

    def __init__(self, folder):
        read_cmd, write_cmd = os.pipe()
        read_ans, write_ans = os.pipe()

        def hand_over():
            high_read, high_write = os.dup(read_cmd), os.dup(write_ans)
            os.dup2(high_read, 3)
            os.dup2(high_write, 4)

        self.process = subprocess.Popen(["chromium", *FLAGS, f"--user-data-dir={folder}/profile", "about:blank"], preexec_fn=hand_over,
                                        close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(read_cmd)
        os.close(write_ans)
        self.out, self.answers = os.fdopen(write_cmd, "wb", buffering=0), os.fdopen(read_ans, "rb", buffering=0)
        self.number, self.buffer, self.session = 0, b"", None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")

    def message(self):
        while b"\0" not in self.buffer:
            piece = self.answers.read(65536)
            if not piece:
                sys.exit("chromium exited")
            self.buffer += piece
        line, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(line)

    def call(self, method, **params):
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        self.out.write(json.dumps(request).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                if "error" in answer:
                    sys.exit(f"{method}: {answer['error']}")
                return answer["result"]

    def screenshot(self, page, width, scale, scheme, target):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=400, deviceScaleFactor=scale, mobile=False)
        self.call("Emulation.setEmulatedMedia", media="screen", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=page.as_uri())
        while self.message().get("method") != "Page.loadEventFired":
            pass
        overflow = self.call("Runtime.evaluate", expression="[document.documentElement.scrollWidth, document.documentElement.scrollHeight]", returnByValue=True)
        across, down = overflow["result"]["value"]
        if across > width:
            print(f"{target.name}: {across} px wide, more than {width}", file=sys.stderr)
        clip = {"x": 0, "y": 0, "width": width, "height": min(down, 8000), "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        target.write_bytes(base64.b64decode(shot["data"]))
        return across <= width

    def close(self):
        self.call("Browser.close")
        self.process.wait(timeout=20)


def contact_sheet(shots, target, height=560, cases_in_row=2):
    """Puts the screenshots of each mail side by side, cropped to the same height."""
    from PIL import Image

    gap = 14
    cases = []
    for row in shots:
        pictures = []
        for file in row:
            picture = Image.open(file).convert("RGB")
            factor = (360 if "desktop" in file.name else 150) / picture.width
            picture = picture.resize((round(picture.width * factor), round(picture.height * factor)), Image.LANCZOS)
            pictures.append(picture.crop((0, 0, picture.width, min(picture.height, height))))
        cases.append(pictures)
    case_width = max(sum(picture.width + gap for picture in case) for case in cases)
    rows = [cases[at:at + cases_in_row] for at in range(0, len(cases), cases_in_row)]
    heights = [max(picture.height for case in row for picture in case) + gap for row in rows]
    sheet = Image.new("RGB", (case_width * min(cases_in_row, len(cases)) + gap, sum(heights) + gap), (128, 130, 136))
    y = gap
    for row, row_height in zip(rows, heights):
        for column, case in enumerate(row):
            x = gap + column * case_width
            for picture in case:
                sheet.paste(picture, (x, y))
                x += picture.width + gap
        y += row_height
    sheet.save(target)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    prepare()
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[2:]
    mails = [file for file in sorted(GOLDEN.glob("*.html")) if not wanted or any(name in file.name for name in wanted)]
    fits = True
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        browser = Browser(folder)
        shots = []
        for mail in mails:
            page = folder / mail.name
            page.write_text(localise(mail.read_text(), folder))
            row = []
            for size, (width, scale) in SIZES.items():
                for scheme in ("light", "dark"):
                    target = out / f"{mail.stem}.{size}.{scheme}.png"
                    fits &= browser.screenshot(page, width, scale, scheme, target)
                    row.append(target)
            shots.append(row)
        browser.close()
    contact_sheet(shots, out / "contact-sheet.png")
    print(f"{sum(map(len, shots))} pictures and contact-sheet.png in {out}")
    sys.exit(0 if fits else 1)


if __name__ == "__main__":
    main()
