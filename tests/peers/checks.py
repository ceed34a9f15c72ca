"""What must hold of every mail that arrived, read by Python's own parser: a second opinion on what we compose."""

import datetime
import email.policy
import email.utils
import re
from html.parser import HTMLParser

# The parser then collects what is wrong with a mail instead of mending it in silence.
POLICY = email.policy.SMTP
CHINESE = re.compile(r"[\u3400-\u9fff]")


class Wrong(Exception):
    """A mail breaks a rule."""


def need(condition, what):
    if not condition:
        raise Wrong(what)


def squeezed(text):
    """Without blanks and places to break a line: wrapping is not what is checked."""
    return re.sub(r"[\s\u200b\u2060]+", "", text)


class Page(HTMLParser):
    """The tags, links and visible words of a mail's HTML."""

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
        need(not any(name.startswith("on") for name in values), f"an event handler on <{tag}>")

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


def bytes_of_a_mail(raw):
    """The line ends and lengths of RFC 5322 section 2.1.1 and 2.3."""
    need(b"\0" not in raw, "a NUL")
    need(raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r"), "a CR or LF stands alone")
    longest = max(len(line) for line in raw.split(b"\r\n"))
    need(longest <= 998, f"a line of {longest} bytes")


def parse(raw):
    message = email.message_from_bytes(raw, policy=POLICY)
    for part in message.walk():
        need(not part.defects, f"{part.get_content_type()}: {part.defects}")
        for name, value in part.items():
            need(not getattr(value, "defects", ()), f"{name}: {value.defects}")
    return message


def headers(message, event, sender, recipient, message_id):
    for name in ("Date", "From", "To", "Subject", "Message-ID", "MIME-Version", "Auto-Submitted", "X-Jobbell-Event"):
        count = len(message.get_all(name, []))
        need(count == 1, f"{count} {name} headers")
    need(message["Bcc"] is None, "a Bcc header")
    age = datetime.datetime.now(datetime.timezone.utc) - message["Date"].datetime
    need(abs(age.total_seconds()) < 600, f"Date is {age} away")
    need(re.fullmatch(r"<[!-~]+@[!-~]+>", message["Message-ID"].strip()), f"Message-ID {message['Message-ID']}")
    need(message["Message-ID"].strip().strip("<>") == message_id.strip("<>"), "Message-ID differs from the one that the daemon tells")
    need(message["Message-ID"].strip().endswith("@" + sender.split("@")[1] + ">"), "Message-ID is not of the sender's domain")
    need([a.addr_spec for a in message["From"].addresses] == [sender], f"From {message['From']}")
    need([a.addr_spec for a in message["To"].addresses] == [recipient], f"To {message['To']}")
    need(message["Auto-Submitted"].strip() == "auto-generated", f"Auto-Submitted {message['Auto-Submitted']}")
    need(message["X-Jobbell-Event"].strip() == event["id"], f"X-Jobbell-Event {message['X-Jobbell-Event']}")
    need(message["Subject"].strip() and not (event.get("prompt") or "\0") in message["Subject"], f"Subject {message['Subject']}")


def parts(message):
    """The text and the HTML; the best part stands last (RFC 2046 section 5.1.4)."""
    kinds = [part.get_content_type() for part in message.walk() if not part.is_multipart()]
    need(message.get_content_type() in ("multipart/alternative", "multipart/mixed", "multipart/related"), message.get_content_type())
    need("text/plain" in kinds and "text/html" in kinds, f"parts {kinds}")
    need(kinds.index("text/plain") < kinds.index("text/html"), f"parts {kinds}")
    text = message.get_body(("plain",)).get_content()
    html = message.get_body(("html",)).get_content()
    need(len(html.encode()) < 60_000, f"HTML of {len(html.encode())} bytes")
    return text, html


def language(text, page, event):
    """The mail speaks the event's language; the prompt may be in another."""
    wanted = event.get("locale", "zh-CN")
    need(page.lang == wanted, f'<html lang="{page.lang}">, not {wanted}')
    own = squeezed(text)
    for foreign in (event["prompt"], str(event.get("error", {}).get("message", ""))):
        own = own.replace(squeezed(foreign), "")
    chinese = len(CHINESE.findall(own))
    need(chinese == 0 if wanted == "en" else chinese >= 6, f"{chinese} Chinese characters in a mail in {wanted}:\n{text}")


def content(text, html, page, event):
    for name, said in (("text", text), ("HTML", page.text)):
        for value in filter(None, (event["prompt"], event.get("model"), *event.get("error", {}).values())):
            need(squeezed(value) in squeezed(said), f"{value!r} is not in the {name}: {said}")
    for image in event.get("images", []):
        need(image["url"] in text, "the image link is not in the text")
        need(image["url"] in page.links, f"the image link is not in the HTML: {page.links}")
    need("script" not in page.tags, "a script")
    need(all("alt" in picture for picture in page.pictures), "a picture without alt")
    schemes = {link.split(":")[0] for link in page.links if link}
    need(schemes <= {"https", "http", "mailto"}, f"links to {schemes}")
    need("<script>" not in html, "markup of the event reached the HTML")


def mail(raw, event, sender, recipient, message_id):
    """Raises Wrong when the mail of an event is not as it must be."""
    bytes_of_a_mail(raw)
    message = parse(raw)
    headers(message, event, sender, recipient, message_id)
    text, html = parts(message)
    page = Page(html)
    language(text, page, event)
    content(text, html, page, event)


def letter(raw, posted, sender, recipient, message_id):
    """Raises Wrong when the mail of a message is not as it must be."""
    bytes_of_a_mail(raw)
    message = parse(raw)
    headers(message, posted, sender, recipient, message_id)
    need(message["X-Jobbell-Kind"].strip() == posted["template"], f"X-Jobbell-Kind {message['X-Jobbell-Kind']}")
    text, html = parts(message)
    page = Page(html)
    need(page.lang == posted.get("locale", "zh-CN"), f'<html lang="{page.lang}">')
    need("script" not in page.tags and "<script>" not in html, "a script")
    params = posted["params"]
    for name in set(params) & {"title", "message", "app", "user", "purpose"}:
        for part, said in (("text", text), ("HTML", page.text)):
            need(squeezed(params[name]) in squeezed(said), f"{name} is not in the {part}: {said}")
    if "code" in params:
        need(message["Subject"].startswith(params["code"] + " "), f"Subject {message['Subject']}")
        need(params["code"] in (line.strip() for line in text.splitlines()), "the code has no line of its own in the text")
        # It stands in groups of three that only look apart, so that it is copied as one word.
        need(params["code"] in "".join(words.strip() for words in page.words), "the code is not in the HTML")
    if "url" in params:
        need(params["url"] in text.splitlines(), "the link has no line of its own in the text")
        need(page.links.count(params["url"]) == 2, f"links {page.links}")


def pictures(raw, event, sender, recipient, message_id, number):
    """Raises Wrong when a mail does not carry so many small copies of its pictures, each shown by its HTML."""
    bytes_of_a_mail(raw)
    message = parse(raw)
    headers(message, event, sender, recipient, message_id)
    _, html = parts(message)
    related = [part for part in message.walk() if part.get_content_type() == "multipart/related"]
    need(message.get_content_type() == "multipart/alternative" and len(related) == 1, "no multipart/related within the multipart/alternative")
    first, *copies = related[0].iter_parts()
    need(first.get_content_type() == "text/html", f"the root is {first.get_content_type()}")
    need(len(copies) == number, f"{len(copies)} copies")
    shown = [picture["src"] for picture in Page(html).pictures]
    for copy in copies:
        jpeg = copy.get_content()
        need(copy.get_content_type() == "image/jpeg" and jpeg[:3] == b"\xff\xd8\xff" and len(jpeg) <= 60_000, f"{copy.get_content_type()}, {len(jpeg)} bytes")
        need(copy.get_content_disposition() == "inline" and copy.get_filename().isascii(), f"{copy['Content-Disposition']}")
        need("cid:" + copy["Content-ID"].strip("<> ") in shown, f"{copy['Content-ID']} is not among {shown}")
