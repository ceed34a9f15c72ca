"""Mail servers on 127.0.0.1: aiosmtpd in this process, Postfix and Exim from Debian in separate directories."""

import pathlib
import pwd
import queue
import socket
import ssl
import subprocess
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

HOST = "127.0.0.1"


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def command(*words, **more):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60, **more)


class Certificate:
    """A root certificate and a certificate for localhost issued by it, valid for two days."""

    def __init__(self, folder):
        self.root, self.chain, self.key = folder / "root.pem", folder / "server.pem", folder / "server.key"
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        usage = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        command("openssl", "req", "-x509", *key, "-keyout", folder / "root.key", "-out", self.root, "-days", "2", "-subj", "/CN=Peers root", *usage)
        command("openssl", "req", *key, "-keyout", self.key, "-out", folder / "server.csr", "-subj", "/CN=localhost")
        names = folder / "names"
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\nbasicConstraints=critical,CA:FALSE\n")
        signed = ["-req", "-in", folder / "server.csr", "-CA", self.root, "-CAkey", folder / "root.key", "-CAcreateserial", "-days", "2"]
        command("openssl", "x509", *signed, "-extfile", names, "-out", self.chain)


class Aiosmtpd:
    """aiosmtpd; with a login it requires STARTTLS and AUTH."""

    def __init__(self, certificate=None, login=None, port=None):
        self.mails, self.logins, self.connections = queue.Queue(), [], 0
        self.login, self.certificate = login, certificate
        self.port = port or free_port()
        more = {}
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate.chain, certificate.key)
            more = {"tls_context": context, "require_starttls": True}
        if login:
            more |= {"authenticator": self.authenticate, "auth_required": True, "auth_require_tls": certificate is not None}
        self.controller = Controller(self, hostname=HOST, port=self.port, ready_timeout=30, enable_SMTPUTF8=True, **more)
        self.controller.start()

    def authenticate(self, _server, _session, _envelope, mechanism, data):
        success = (data.login.decode(), data.password.decode()) == self.login
        self.logins.append((mechanism, success))
        return AuthResult(success=success)

    def reply_to_mail(self):
        """The reply to MAIL, for subclasses that refuse it."""
        return None

    async def handle_MAIL(self, server, session, envelope, address, mail_options):
        refusal = self.reply_to_mail()
        if refusal:
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(mail_options)
        return "250 2.1.0 ok"

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_DATA(self, server, session, envelope):
        encrypted = session.ssl is not None
        self.mails.put((envelope.mail_from, envelope.rcpt_tos, envelope.original_content, encrypted))
        return "250 2.0.0 accepted"

    def next_mail(self, within):
        """Returns the next mail as (recipient, content), or None after the timeout."""
        try:
            sender, recipients, raw, encrypted = self.mails.get(timeout=within)
        except queue.Empty:
            return None
        assert len(recipients) == 1, f"{len(recipients)} recipients in one envelope"
        assert encrypted or not self.certificate, "the mail came in clear text"
        assert not self.login or self.logins and all(success for _, success in self.logins), f"logins: {self.logins}"
        return recipients[0], raw

    def close(self):
        self.controller.stop()


MAIN = """\
compatibility_level = 3.6
queue_directory = {base}/spool
data_directory = {base}/data
maillog_file_prefixes = {base}
maillog_file = {base}/mail.log
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.peers.example
mydestination =
local_recipient_maps =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
mynetworks =
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_forbid_bare_newline = yes
strict_rfc821_envelopes = yes
smtpd_helo_required = yes
smtpd_helo_restrictions = reject_invalid_helo_hostname
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_cert_file = {chain}
smtpd_tls_key_file = {key}
smtpd_tls_loglevel = 1
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {base}/config/sasl
smtpd_sasl_security_options = noanonymous
virtual_mailbox_domains = peers.example
virtual_mailbox_base = {base}/mail
virtual_mailbox_maps = static:inbox/
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
"""

MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
proxymap  unix - - n - - proxymap
error     unix - - n - - error
retry     unix - - n - - error
virtual   unix - n n - - virtual
anvil     unix - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""

SASL = """\
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {base}/sasldb2
mech_list: PLAIN LOGIN
"""


def wait_until_open(port, process, within, log):
    """Waits until a server listens; an error includes its output."""
    deadline = time.monotonic() + within
    while True:
        try:
            socket.create_connection((HOST, port), timeout=5).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise RuntimeError(f"the server does not start:\n{process.communicate()[0].decode()}\n{log()}") from None
            time.sleep(0.1)


class RefusingServer(Aiosmtpd):
    """aiosmtpd that refuses every login, or every mail with the same reply, until `recover`."""

    def __init__(self, certificate, login, reply):
        self.reply = reply
        super().__init__(certificate, login)

    def authenticate(self, server, session, envelope, mechanism, data):
        if self.reply == "535":
            return AuthResult(success=False, handled=False)
        return super().authenticate(server, session, envelope, mechanism, data)

    def reply_to_mail(self):
        return self.reply

    def recover(self):
        self.reply = None


class SilentServer:
    """A port that accepts connections and never replies; `recover` replaces it with aiosmtpd."""

    def __init__(self, certificate, login):
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        self.successor, self.values = None, (certificate, login)

    def recover(self):
        self.listener.close()
        self.successor = Aiosmtpd(*self.values, port=self.port)

    def next_mail(self, within):
        return self.successor.next_mail(within)

    def close(self):
        self.listener.close()
        if self.successor:
            self.successor.close()


class UnreachableServer(SilentServer):
    """A closed port, until `recover`."""

    def __init__(self, certificate, login):
        super().__init__(certificate, login)
        self.listener.close()


class Maildir:
    """A Maildir of a server, which prepends trace headers to each mail."""

    def __init__(self, folder):
        self.folder, self.seen = folder, set()

    def next_mail(self, within):
        """Returns the next mail as (recipient, content as sent), or None after the timeout."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            for path in sorted((self.folder / "new").glob("*"), key=lambda path: path.stat().st_mtime_ns):
                if path.name not in self.seen:
                    self.seen.add(path.name)
                    return self.read(path)
            time.sleep(0.05)
        return None

    def read(self, path):
        raw = pathlib.Path(path).read_bytes()
        trace, separator, rest = raw.partition(b"\nReceived: ")
        assert separator, f"no Received header: {raw[:500]!r}"
        recipient = next(line.split(b":")[1].strip().decode() for line in trace.splitlines() if line.lower().startswith((b"delivered-to:", b"envelope-to:")))
        lines = rest.split(b"\n")
        received = next(at for at, line in enumerate(lines) if at and not line.startswith((b" ", b"\t")))
        how = b" ".join(lines[:received])
        assert b"esmtpsa" in how.lower(), f"not over TLS with a login: {how.decode()}"
        # Files in a Maildir have LF instead of CRLF.
        return recipient, b"\r\n".join(lines[received:])


class Postfix:
    """Postfix that requires STARTTLS and a login, with a Maildir. Needs root."""

    def __init__(self, base, certificate, login):
        self.base, self.login, self.certificate = base, login, certificate
        self.port = free_port()
        self.inbox = Maildir(base / "mail/inbox")
        nobody = pwd.getpwnam("nobody")
        for folder in ("config", "config/sasl", "spool", "data", "mail"):
            (base / folder).mkdir(mode=0o755)
        (base / "mail").chmod(0o777)
        command("chown", "postfix", base / "data")
        values = {"base": base, "chain": certificate.chain, "key": certificate.key, "uid": nobody.pw_uid, "gid": nobody.pw_gid, "port": self.port}
        (base / "config/main.cf").write_text(MAIN.format(**values))
        (base / "config/master.cf").write_text(MASTER.format(**values))
        # Debian's Postfix ignores cyrus_sasl_config_path and looks beside its configuration.
        (base / "config/sasl/smtpd.conf").write_text(SASL.format(**values))
        user, realm = login[0].split("@")
        command("saslpasswd2", "-p", "-c", "-f", base / "sasldb2", "-u", realm, user, input=login[1].encode())
        command("chown", "postfix", base / "sasldb2")
        self.process = subprocess.Popen(["postfix", "-c", base / "config", "start-fg"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wait_until_open(self.port, self.process, 30, self.log)

    def log(self):
        log = self.base / "mail.log"
        return log.read_text(errors="replace") if log.exists() else "(no log)"

    def next_mail(self, within):
        return self.inbox.next_mail(within)

    def close(self):
        command("postfix", "-c", self.base / "config", "stop")
        self.process.communicate(timeout=30)


EXIM = """\
primary_hostname = mx.peers.example
exim_path = {program}
spool_directory = {base}/spool
log_file_path = {base}/%slog
pid_file_path = {base}/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
keep_environment =
host_lookup =
never_users =
tls_advertise_hosts = *
tls_certificate = {chain}
tls_privatekey = {key}
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
acl_smtp_rcpt = recipients
acl_smtp_data = content
begin acl
recipients:
  require authenticated = *
  require encrypted = *
  accept domains = peers.example
content:
  require verify = header_syntax
  accept
begin routers
inbox:
  driver = accept
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = {base}/mail
  maildir_format
  user = Debian-exim
  delivery_date_add
  envelope_to_add
  return_path_add
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
"""


class Exim:
    """Exim that requires STARTTLS and a login, with a Maildir. Needs root and the directory of exim.sh."""

    def __init__(self, program, base, certificate, login):
        self.base, self.port = base, free_port()
        self.inbox = Maildir(base / "mail")
        base.mkdir(mode=0o755)
        for folder in ("spool", "mail"):
            (base / folder).mkdir()
        values = {"program": program, "base": base, "chain": certificate.chain, "key": base / "server.key", "port": self.port}
        (base / "server.key").write_bytes(certificate.key.read_bytes())
        (base / "exim.conf").write_text(EXIM.format(user=login[0], password=login[1], **values))
        command("chown", "-R", "Debian-exim:Debian-exim", base)
        command("chown", "root", base / "exim.conf")
        words = [program, "-C", base / "exim.conf", "-bdf", "-q1h"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wait_until_open(self.port, self.process, 30, self.log)

    def log(self):
        logs = [path.read_text(errors="replace") for path in sorted(self.base.glob("*log"))]
        return "\n".join(logs) or "(no log)"

    def next_mail(self, within):
        return self.inbox.next_mail(within)

    def close(self):
        self.process.terminate()
        self.process.communicate(timeout=30)
