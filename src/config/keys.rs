//! Every key there is, in the order of the reference file.

use super::registry::{HOOKS, Key, Kind};
use crate::intake::hooks;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const KIB: u64 = 1_024;

const PROVIDERS: &str = "a known mail service; `jobbell providers` lists them";
const MAILBOX: &str = "an address, or \"Name <address>\"";
const HTTPS: &str = "an https address, without user name and password";
const FILE: &str = "the path of a file";

/// The keys. Their defaults stand in the reference file `config.toml`, which is compiled in.
pub const KEYS: &[Key] = &[
    Key::server("enable", Kind::Flag, "The switch: false takes events and contacts no mail server.", "总开关：false 时照收事件，但不连接任何邮件服务器。"),
    Key::server(
        "provider",
        Kind::Text(PROVIDERS),
        "A known mail service; fills host, port, tls and limits.",
        "邮件服务商预设，自动填好 host、port、tls 和限额。",
    )
    .variable(&["EMAIL_PROVIDER"]),
    Key::server("host", Kind::Text("a host name or an IP address, without port"), "The mail server.", "邮件服务器的主机名。").also(&["smtp.server"]),
    Key::server("port", Kind::Whole(1, 65_535), "The mail server's port.", "邮件服务器的端口。"),
    Key::server("tls", Kind::Choice(&["auto", "implicit", "starttls", "none"]), "How the connection is encrypted.", "连接的加密方式。"),
    Key::server("tls_ca_file", Kind::Text("the path of a PEM file"), "A further root certificate to trust.", "额外信任的根证书（PEM 文件）。"),
    Key::server("username", Kind::Text("text in quotes, without line breaks"), "The login name.", "登录名，通常是完整邮箱地址。").also(&["smtp.user"]),
    Key::server("password", Kind::Secret, "The password or authorization code.", "密码；QQ、163 等请填授权码。"),
    Key::server("password_file", Kind::Text(FILE), "A file that holds the password.", "存放密码的文件。"),
    Key::server("auth", Kind::Choice(&["password", "xoauth2"]), "How to log in: with a password or an OAuth2 token.", "登录方式：密码或 OAuth2 令牌。"),
    Key::server("oauth_token_url", Kind::Url(HTTPS), "Where OAuth2 tokens are given out.", "OAuth2 令牌地址。"),
    Key::server("oauth_client_id", Kind::Text("text of at most 500 characters"), "The id of the registered application.", "注册应用的客户端 ID。"),
    Key::server("oauth_client_secret", Kind::Secret, "Its secret, where it has one.", "注册应用的客户端密钥（如有）。"),
    Key::server("oauth_client_secret_file", Kind::Text(FILE), "A file that holds the client secret.", "存放客户端密钥的文件。"),
    Key::server("oauth_refresh_token", Kind::Secret, "The refresh token that stands for your consent.", "代表授权的刷新令牌。"),
    Key::server("oauth_refresh_token_file", Kind::Text(FILE), "A file that holds the refresh token.", "存放刷新令牌的文件。"),
    Key::server("oauth_scope", Kind::Text("text of at most 2000 characters"), "What the token is for.", "令牌的权限范围。"),
    Key::server("from", Kind::Address(MAILBOX), "Whom mails come from.", "发件人地址。").variable(&["EMAILS_FROM_EMAIL"]),
    Key::server("from_name", Kind::Text("a name of at most 200 characters, without line breaks"), "The sender's name to show.", "发件人显示名。")
        .also(&["smtp.sender_name"])
        .variable(&["EMAILS_FROM_NAME"]),
    Key::server("reply_to", Kind::Address(MAILBOX), "Where answers go.", "回信地址。"),
    Key::server(
        "to",
        Kind::Address("addresses: a comma list or an array, at most 1000"),
        "Who is told when an event names nobody.",
        "默认收件人，可用逗号分隔多个。",
    )
    .also(&["smtp.receiver_email"]),
    Key::server("name", Kind::Text("a name of at most 64 characters, without line breaks"), "What logs call this server.", "日志和状态页里的名称。"),
    Key::server("max_connections", Kind::Whole(1, 1_000), "The most connections at a time.", "同时打开的最大连接数。"),
    Key::server("max_mails_per_connection", Kind::Whole(1, 1_000_000), "The most mails over one connection.", "每个连接最多发送的邮件数。"),
    Key::server("timeout", Kind::Span(100, HOUR), "The longest wait for one SMTP step.", "每个 SMTP 步骤的最长等待时间。"),
    Key::server("rate_limit", Kind::Rate, "The most mails in a span of time.", "发送频率上限。"),
    Key::server("rest", Kind::Span(1, 7 * DAY), "The first pause after repeated failures.", "连续失败后的首次停歇时间。"),
    Key::server("rest_max", Kind::Span(1, 30 * DAY), "The longest such pause.", "停歇时间的上限。"),
    Key::server("api", Kind::Flag, "Send by DirectMail's HTTP API instead of SMTP.", "通过阿里云邮件推送的 HTTP API 发送，而不是 SMTP。"),
    Key::server("access_key_id", Kind::Secret, "Access key of Aliyun DirectMail's API.", "阿里云邮件推送 API 的 AccessKey ID。")
        .variable(&["ALIYUN_ACCESS_KEY_ID"]),
    Key::server("access_key_secret", Kind::Secret, "Its secret.", "对应的 AccessKey Secret。").variable(&["ALIYUN_ACCESS_KEY_SECRET"]),
    Key::server("access_key_secret_file", Kind::Text(FILE), "A file that holds that secret.", "存放 AccessKey Secret 的文件。"),
    Key::server(
        "region",
        Kind::Text("the name of a region, as \"cn-hangzhou\" or \"ap-southeast-1\""),
        "The region of the DirectMail account.",
        "邮件推送账号所在的地域。",
    ),
    Key::server("endpoint", Kind::Url("a host name or an https address"), "An address in place of the region's.", "替代地域默认地址的 API 地址。"),
    Key::new(
        "server",
        "listen",
        Kind::Text("an address and port as \"127.0.0.1:8000\" or \"[::1]:8000\", or \"unix:/absolute/path\""),
        "Where the HTTP server listens.",
        "HTTP 服务的监听地址。",
    ),
    Key::new("server", "tokens", Kind::Secrets, "Bearer tokens that may post and read.", "允许访问的 Bearer 令牌。"),
    Key::new("server", "tokens_file", Kind::Text(FILE), "A file with one token per line.", "令牌文件，每行一个。"),
    Key::new("server", "allow_anonymous", Kind::Flag, "Whether others than this machine may connect without a token.", "是否允许外部机器不带令牌访问。"),
    Key::new("server", "max_body", Kind::Bytes(KIB, 64 * KIB * KIB), "The largest request body.", "请求正文的大小上限。"),
    Key::new(HOOKS, "kind", Kind::Choice(hooks::Kind::NAMES), "The service that posts there.", "向该地址推送的服务。"),
    Key::new(HOOKS, "secret", Kind::Secret, "The secret by which the service proves who it is.", "用于验证该服务的密钥。"),
    Key::new(HOOKS, "secrets", Kind::Secrets, "Several of them, while one is replaced by the next.", "轮换期间同时有效的多个密钥。"),
    Key::new(HOOKS, "secret_file", Kind::Text(FILE), "A file with one secret per line.", "密钥文件，每行一个。"),
    Key::new(HOOKS, "verify", Kind::Choice(hooks::verify::Way::NAMES), "How the service proves who it is.", "验证方式。"),
    Key::new(HOOKS, "header", Kind::Text("the name of a header, as \"X-Signature\""), "Where signature or secret stands.", "签名或密钥所在的请求头。"),
    Key::new(HOOKS, "jwks_url", Kind::Url("an https address, without user name and password"), "Where a service publishes its keys.", "服务公布公钥的地址。"),
    Key::new(HOOKS, "jwks_file", Kind::Text(FILE), "A file with those keys, in the place of the address.", "改用本地的公钥文件。"),
    Key::new(HOOKS, "unverified", Kind::Flag, "Whether anybody may post there.", "是否允许任何人推送而不验证。"),
    Key::new(HOOKS, "unconfirmed", Kind::Flag, "Whether fields are read that no documentation confirms.", "是否读取文档未确认的字段。"),
    Key::new(HOOKS, "replay_window", Kind::Span(SECOND, 5 * MINUTE), "How far a signed time may be from ours.", "签名时间允许的偏差。"),
    Key::new(HOOKS, "max_body", Kind::Bytes(KIB, 32 * KIB * KIB), "The largest body there.", "该地址请求正文的大小上限。"),
    Key::new(
        HOOKS,
        "to",
        Kind::Address("an address, or several with commas or as a list, at most 50"),
        "Who is told when an event names nobody.",
        "事件未指定收件人时通知谁。",
    ),
    Key::new(HOOKS, "locale", Kind::Text("\"zh-CN\" or \"en\""), "The language of its mails.", "其邮件的语言。"),
    Key::new("queue", "url", Kind::Url("\"sqlite://PATH\""), "Where the queue is stored.", "队列的存储位置。"),
    Key::new("queue", "state_dir", Kind::Text("the path of a directory"), "Where state is kept.", "状态目录。"),
    Key::new("queue", "max_pending", Kind::Whole(1, 1_000_000_000), "The most deliveries not yet ended.", "未完成投递的数量上限。"),
    Key::new("queue", "retention", Kind::Span(SECOND, 3_650 * DAY), "How long finished deliveries stay visible.", "已完成投递的保留时间。"),
    Key::new(
        "queue",
        "payload_retention",
        Kind::Span(SECOND, 3_650 * DAY),
        "How long the content of finished events stays; default: retention.",
        "已完成事件内容的保留时间，默认与 retention 相同。",
    ),
    Key::new("retry", "max_attempts", Kind::Whole(1, 1_000), "The most attempts for one mail.", "每封邮件的最大尝试次数。").also(&["smtp.max_retry_attempts"]),
    Key::new("retry", "initial", Kind::Span(1, DAY), "The pause after the first attempt; doubles.", "首次重试前的等待，之后翻倍。"),
    Key::new("retry", "max", Kind::Span(1, 30 * DAY), "The longest pause between attempts.", "重试间隔的上限。"),
    Key::new("retry", "expire_after", Kind::Span(SECOND, 365 * DAY), "The age at which a mail is given up.", "超过此时长的邮件不再发送。"),
    Key::new("email", "locale", Kind::Text("\"zh-CN\" or \"en\""), "The language of the mails.", "邮件语言。"),
    Key::new("email", "timezone", Kind::Text("an IANA time zone as \"Asia/Shanghai\" or \"UTC\""), "How times are shown.", "时间显示所用的时区。"),
    Key::new(
        "email",
        "public_url",
        Kind::Text("an absolute http or https link, without user name and password"),
        "Makes a link of an image's local path.",
        "把图片的本地路径变成链接的前缀。",
    ),
    Key::new(
        "email",
        "subject_prefix",
        Kind::Text("text of at most 100 characters, without line breaks"),
        "Put before every subject.",
        "加在每个主题前的文字。",
    ),
    Key::new("email", "brand_name", Kind::Text("a name of at most 60 characters, without line breaks"), "The name over the mails.", "邮件顶部显示的名称。"),
    Key::new("email", "logo_url", Kind::Url("an absolute https link, without user name and password"), "A picture beside that name.", "名称旁的标志图片地址。"),
    Key::new("email", "accent", Kind::Text("a colour as \"#4a62d2\": # and six hexadecimal digits"), "The colour of button and mark.", "按钮和标志的颜色。"),
    Key::new("email", "footer", Kind::Text("text of at most 1000 characters"), "Lines under the mails.", "邮件底部的附加文字。"),
    Key::new("email", "prompt", Kind::Choice(&["full", "short", "hidden"]), "How much of the prompts the mails show.", "邮件中显示多少提示词。"),
    Key::new("email", "subject_prompt", Kind::Flag, "Whether the prompt may stand in the subject.", "主题中是否可以出现提示词。"),
    Key::new("email", "templates_dir", Kind::Text("the path of a directory"), "Templates of one's own.", "自定义邮件模板的目录。"),
    Key::new("email", "on_success", Kind::Flag, "Whether success mails are sent.", "是否发送成功通知。"),
    Key::new("email", "on_failure", Kind::Flag, "Whether failure mails are sent.", "是否发送失败通知。"),
    Key::new("email", "disabled", Kind::Choice(&["drop", "hold"]), "What becomes of mails while the switch is off.", "总开关关闭时邮件的处理方式。"),
    Key::new(
        "email",
        "allowed_recipients",
        Kind::List("addresses, or domains as \"*@example.com\", at most 10000"),
        "Who may be mailed; empty means anybody.",
        "允许的收件人，留空表示不限。",
    ),
    Key::new("email", "preview", Kind::Choice(&["off", "thumbnail"]), "Whether a small copy of the picture is put into the mail.", "是否在邮件中嵌入缩略图。"),
    Key::new("email", "preview_wait", Kind::Span(SECOND, 10 * MINUTE), "How long a mail waits for its pictures at most.", "邮件最多等待图片的时间。"),
    Key::new("email", "image_root", Kind::Text("the path of a folder"), "The folder that local_path is looked up in.", "查找 local_path 的图片目录。"),
    Key::new(
        "email",
        "image_hosts",
        Kind::List("hosts of your own, as \"minio.lan:9000\" or \"10.0.0.5\", at most 1000"),
        "Your own storage, which may stand at private addresses.",
        "自有图片存储的主机，允许位于内网。",
    ),
    Key::new(
        "log",
        "level",
        Kind::Text("error, warn, info, debug, trace or off, or a filter as \"info,jobbell::transport=debug\""),
        "How much is logged.",
        "日志级别。",
    ),
    Key::new("log", "format", Kind::Choice(&["auto", "text", "json"]), "How log lines are written.", "日志格式。"),
];
