"""Checks the Markdown pages: relative links, anchors, named files and tests exist.

    python3 tests/links.py

Prints one line for each broken reference; exit status 1 if there are any.
"""

import pathlib
import re
import subprocess
import sys
import unicodedata
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^( {0,3}>? ?)(```+|~~~+).*?^\1?\2 *$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
LINK = re.compile(r"\]\(([^()\s]+(?:\([^()\s]*\)[^()\s]*)?)(?: +\"[^\"]*\")?\)|^\[[^\]]+\]: +(\S+)", re.MULTILINE)
CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
EXTERNAL = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def tracked(*patterns):
    """The files that git tracks or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [path for line in sorted(set(listed.stdout.splitlines())) if (path := ROOT / line).is_file()]


def prose(text):
    """The text without fenced code."""
    return FENCE.sub("", text)


def anchors(text):
    """The anchors that GitHub generates for the headings of a page."""
    found = {}
    for heading in HEADING.findall(prose(text)):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        kept = (c for c in heading.lower() if c in "-_ " or unicodedata.category(c)[0] in "LNM")
        anchor = "".join(kept).replace(" ", "-")
        found[anchor] = found.get(anchor, -1) + 1
        if found[anchor]:
            found[f"{anchor}-{found[anchor]}"] = 0
    return set(found)


def broken_links(page, text):
    """Relative links of a page that lead nowhere."""
    for match in LINK.finditer(CODE.sub("", prose(text))):
        target = match.group(1) or match.group(2)
        if EXTERNAL.match(target):
            continue
        path, _, anchor = urllib.parse.unquote(target).partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            yield f"{target}: no such file"
        elif anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
            yield f"{target}: no such heading"


def missing_files(text):
    """Paths in code spans that do not exist."""
    for _, name in CODE.findall(prose(text)):
        path = name.split()[0]
        if re.match(r"(src|tests|templates|systemd|examples)/[\w./-]+$", path) and not (ROOT / path).exists():
            yield f"{path}: no such file"


def missing_tests(text, functions):
    """Test functions in code spans that do not exist."""
    for _, name in CODE.findall(prose(text)):
        if re.fullmatch(r"[a-z0-9]+(?:_[a-z0-9]+){3,}", name) and name not in functions:
            yield f"{name}: no such test"


def missing_modules(text):
    """Top-level modules that the architecture page does not list."""
    for module in sorted((ROOT / "src").iterdir()):
        if not re.search(rf"\b{module.name}\b", text):
            yield f"src/{module.name} is not listed"


def main():
    functions = set()
    for source in tracked("src/**.rs", "tests/**.rs"):
        functions.update(re.findall(r"\bfn (\w+)", source.read_text(encoding="utf-8")))
    pages = tracked("*.md")
    faults = []
    for page in pages:
        text = page.read_text(encoding="utf-8")
        found = list(broken_links(page, text))
        # CHANGELOG.md also names files of earlier versions.
        if page.name != "CHANGELOG.md":
            found.extend(missing_files(text))
        if page.name == "guarantees.md":
            found.extend(missing_tests(text, functions))
        if page.name == "architecture.md":
            found.extend(missing_modules(text))
        faults.extend(f"{page.relative_to(ROOT)}: {fault}" for fault in found)
    print("\n".join(faults) if faults else f"note: {len(pages)} pages, no broken link")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
