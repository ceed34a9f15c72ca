"""Checks received mails with Python's email package, independently of Jobbell's code."""

import datetime
import email.policy
import email.utils
import re
from html.parser import HTMLParser

# With this policy the parser records defects.
POLICY = email.policy.SMTP
CHINESE = re.compile(r"[\u3400-\u9fff]")


class CheckFailed(Exception):
    """A check failed."""


def require(condition, what):
    if not condition:
        raise CheckFailed(what)


def without_spaces(text):
    """Removes spaces and line-break opportunities, because wrapping is not checked."""
    return re.sub(r"[\s\u200b\u2060]+", "", text)


class Page(HTMLParser):
    """The tags, links and visible text of the HTML part."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.links, self.pictures, self.lang, self.words = [], [], [], None, []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        if tag == "html":
            self.lang = values.get("lang")
        if tag == "a":
            self.links.append(values.get("href"))
        if tag == "img":
            self.pictures.append(values)
        require(not any(name.startswith("on") for name in values), f"an event handler on <{tag}>")

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


def bytes_of_a_mail(raw):
    """Line endings and line lengths (RFC 5322 sections 2.1.1 and 2.3)."""
    require(b"\0" not in raw, "a NUL")
    require(raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r"), "a bare CR or LF")
    longest = max(len(line) for line in raw.split(b"\r\n"))
    require(longest <= 998, f"a line of {longest} bytes")


def parse(raw):
    message = email.message_from_bytes(raw, policy=POLICY)
    for part in message.walk():
        require(not part.defects, f"{part.get_content_type()}: {part.defects}")
        for name, value in part.items():
            require(not getattr(value, "defects", ()), f"{name}: {value.defects}")
    return message


def headers(message, event, sender, recipient, message_id):
    for name in ("Date", "From", "To", "Subject", "Message-ID", "MIME-Version", "Auto-Submitted", "X-Jobbell-Event"):
        count = len(message.get_all(name, []))
        require(count == 1, f"{count} {name} headers")
    require(message["Bcc"] is None, "a Bcc header")
    age = datetime.datetime.now(datetime.timezone.utc) - message["Date"].datetime
    require(abs(age.total_seconds()) < 600, f"Date is {age} away")
    require(re.fullmatch(r"<[!-~]+@[!-~]+>", message["Message-ID"].strip()), f"Message-ID {message['Message-ID']}")
    require(message["Message-ID"].strip().strip("<>") == message_id.strip("<>"), "Message-ID differs from the recorded one")
    require(message["Message-ID"].strip().endswith("@" + sender.split("@")[1] + ">"), "Message-ID is not in the sender's domain")
    require([a.addr_spec for a in message["From"].addresses] == [sender], f"From {message['From']}")
    require([a.addr_spec for a in message["To"].addresses] == [recipient], f"To {message['To']}")
    require(message["Auto-Submitted"].strip() == "auto-generated", f"Auto-Submitted {message['Auto-Submitted']}")
    require(message["X-Jobbell-Event"].strip() == event["id"], f"X-Jobbell-Event {message['X-Jobbell-Event']}")
    require(message["Subject"].strip() and not (event.get("prompt") or "\0") in message["Subject"], f"Subject {message['Subject']}")


def parts(message):
    """Returns text and HTML; the preferred part is last (RFC 2046 section 5.1.4)."""
    kinds = [part.get_content_type() for part in message.walk() if not part.is_multipart()]
    require(message.get_content_type() in ("multipart/alternative", "multipart/mixed", "multipart/related"), message.get_content_type())
    require("text/plain" in kinds and "text/html" in kinds, f"parts {kinds}")
    require(kinds.index("text/plain") < kinds.index("text/html"), f"parts {kinds}")
    text = message.get_body(("plain",)).get_content()
    html = message.get_body(("html",)).get_content()
    require(len(html.encode()) < 60_000, f"HTML of {len(html.encode())} bytes")
    return text, html


def language(text, page, event):
    """The mail is in the language of the event, except the prompt."""
    wanted = event.get("locale", "zh-CN")
    require(page.lang == wanted, f'<html lang="{page.lang}">, not {wanted}')
    own = without_spaces(text)
    for foreign in (event["prompt"], str(event.get("error", {}).get("message", ""))):
        own = own.replace(without_spaces(foreign), "")
    chinese = len(CHINESE.findall(own))
    require(chinese == 0 if wanted == "en" else chinese >= 6, f"{chinese} Chinese characters in a mail in {wanted}:\n{text}")


def content(text, html, page, event):
    for name, said in (("text", text), ("HTML", page.text)):
        for value in filter(None, (event["prompt"], event.get("model"), *event.get("error", {}).values())):
            require(without_spaces(value) in without_spaces(said), f"{value!r} is not in the {name}: {said}")
    for image in event.get("images", []):
        require(image["url"] in text, "the image link is not in the text")
        require(image["url"] in page.links, f"the image link is not in the HTML: {page.links}")
    require("script" not in page.tags, "a script")
    require(all("alt" in picture for picture in page.pictures), "a picture without alt")
    schemes = {link.split(":")[0] for link in page.links if link}
    require(schemes <= {"https", "http", "mailto"}, f"links to {schemes}")
    require("<script>" not in html, "markup of the event reached the HTML")


def mail(raw, event, sender, recipient, message_id):
    """Raises CheckFailed if the mail of an event is incorrect."""
    bytes_of_a_mail(raw)
    message = parse(raw)
    headers(message, event, sender, recipient, message_id)
    text, html = parts(message)
    page = Page(html)
    language(text, page, event)
    content(text, html, page, event)


def message_mail(raw, posted, sender, recipient, message_id):
    """Raises CheckFailed if the mail of a message is incorrect."""
    bytes_of_a_mail(raw)
    message = parse(raw)
    headers(message, posted, sender, recipient, message_id)
    require(message["X-Jobbell-Kind"].strip() == posted["template"], f"X-Jobbell-Kind {message['X-Jobbell-Kind']}")
    text, html = parts(message)
    page = Page(html)
    require(page.lang == posted.get("locale", "zh-CN"), f'<html lang="{page.lang}">')
    require("script" not in page.tags and "<script>" not in html, "a script")
    params = posted["params"]
    for name in set(params) & {"title", "message", "app", "user", "purpose"}:
        for part, said in (("text", text), ("HTML", page.text)):
            require(without_spaces(params[name]) in without_spaces(said), f"{name} is not in the {part}: {said}")
    if "code" in params:
        require(message["Subject"].startswith(params["code"] + " "), f"Subject {message['Subject']}")
        require(params["code"] in (line.strip() for line in text.splitlines()), "the code is not on a separate line of the text")
        # Shown in groups of three, but copied as one word.
        require(params["code"] in "".join(words.strip() for words in page.words), "the code is not in the HTML")
    if "url" in params:
        require(params["url"] in text.splitlines(), "the link is not on a separate line of the text")
        require(page.links.count(params["url"]) == 2, f"links {page.links}")


def pictures(raw, event, sender, recipient, message_id, number):
    """Raises CheckFailed unless the mail has this number of thumbnails, each shown in the HTML."""
    bytes_of_a_mail(raw)
    message = parse(raw)
    headers(message, event, sender, recipient, message_id)
    _, html = parts(message)
    related = [part for part in message.walk() if part.get_content_type() == "multipart/related"]
    require(message.get_content_type() == "multipart/alternative" and len(related) == 1, "no multipart/related within the multipart/alternative")
    first, *copies = related[0].iter_parts()
    require(first.get_content_type() == "text/html", f"the root is {first.get_content_type()}")
    require(len(copies) == number, f"{len(copies)} copies")
    shown = [picture["src"] for picture in Page(html).pictures]
    for copy in copies:
        jpeg = copy.get_content()
        require(copy.get_content_type() == "image/jpeg" and jpeg[:3] == b"\xff\xd8\xff" and len(jpeg) <= 60_000, f"{copy.get_content_type()}, {len(jpeg)} bytes")
        require(copy.get_content_disposition() == "inline" and copy.get_filename().isascii(), f"{copy['Content-Disposition']}")
        require("cid:" + copy["Content-ID"].strip("<> ") in shown, f"{copy['Content-ID']} is not among {shown}")
