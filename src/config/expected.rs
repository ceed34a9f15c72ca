//! Descriptions of allowed values, in English and Chinese.

use super::key::Words;

pub(super) const ADDRESS_OR_LIST: Words = [
    "an address or \"Name <address>\", or an array of them",
    "邮箱地址或 \"名称 <地址>\"，或其数组",
];
pub(super) const API_ENDPOINT: Words = ["a host name or an https URL", "主机名或 https 网址"];
pub(super) const CHALLENGE: Words = [
    "a JSON pointer such as \"/challenge\"",
    "JSON 指针，如 \"/challenge\"",
];
pub(super) const COLOUR: Words = [
    "a colour such as \"#4a62d2\": # and six hexadecimal digits",
    "颜色，如 \"#4a62d2\"：# 和六位十六进制数字",
];
pub(super) const DIRECTORY: Words = ["the path of a directory", "目录路径"];
pub(super) const FILE: Words = ["the path of a file", "文件路径"];
pub(super) const HEADER: Words = [
    "the name of a header such as \"X-Signature\"",
    "请求头名称，如 \"X-Signature\"",
];
pub(super) const HELO: Words = [
    "a domain name such as \"bell.example.com\", or an address such as \"[192.0.2.7]\"",
    "域名（如 \"bell.example.com\"）或地址（如 \"[192.0.2.7]\"）",
];
pub(super) const HOST: Words = [
    "a host name or an IP address, without port",
    "主机名或 IP 地址，不含端口",
];
pub(super) const HOSTS: Words = [
    "at most 100 host names or addresses without port, such as \"bell.example.com\" or \"192.0.2.7\"",
    "最多 100 个主机名或地址，不含端口，如 \"bell.example.com\" 或 \"192.0.2.7\"",
];
pub(super) const HTTPS: Words = [
    "an https URL, without user name and password",
    "https 网址，不含用户名和密码",
];
pub(super) const HTTP_URL: Words = [
    "an absolute http or https URL, without user name and password",
    "完整的 http 或 https 网址，不含用户名和密码",
];
pub(super) const IMAGE_HOSTS: Words = [
    "at most 1000 hosts such as \"minio.lan:9000\" or \"10.0.0.5\"",
    "最多 1000 个主机，如 \"minio.lan:9000\" 或 \"10.0.0.5\"",
];
pub(super) const LANGUAGE: Words = ["\"zh-CN\" or \"en\"", "\"zh-CN\" 或 \"en\""];
pub(super) const LISTEN: Words = [
    "an address and port such as \"127.0.0.1:8000\" or \"[::1]:8000\", or \"unix:/absolute/path\"",
    "地址和端口，如 \"127.0.0.1:8000\" 或 \"[::1]:8000\"，或 \"unix:/绝对路径\"",
];
pub(super) const LOCATIONS: Words = [
    "JSON pointers such as \"/input/prompt\", or \"=\" and a fixed text, in the order in which they are tried",
    "JSON 指针（如 \"/input/prompt\"）或 \"=\" 加固定文本，依次尝试",
];
pub(super) const LOG_LEVEL: Words = [
    "error, warn, info, debug, trace or off, or a filter such as \"info,jobbell::transport=debug\"",
    "error、warn、info、debug、trace 或 off，或过滤规则，如 \"info,jobbell::transport=debug\"",
];
pub(super) const MAILBOX: Words = [
    "an address, or \"Name <address>\"",
    "邮箱地址，或 \"名称 <地址>\"",
];
pub(super) const MAIL_KINDS: Words = [
    "a list of \"success\", \"failure\", \"verification_code\", \"password_reset\", \"verify_link\", \"system_notice\" and \"plain\"",
    "\"success\"、\"failure\"、\"verification_code\"、\"password_reset\"、\"verify_link\"、\"system_notice\" 和 \"plain\" 中的若干项",
];
pub(super) const PEM_FILE: Words = ["the path of a PEM file", "PEM 文件的路径"];
pub(super) const PROVIDER: Words = [
    "a known mail service; `jobbell providers` lists them",
    "已知的邮件服务；运行 `jobbell providers` 查看列表",
];
pub(super) const PROXIES: Words = [
    "addresses, networks such as \"10.0.0.0/8\", or \"unix\"",
    "地址、网段（如 \"10.0.0.0/8\"）或 \"unix\"",
];
pub(super) const QUEUE_URL: Words = if cfg!(feature = "postgres") {
    [
        "\"sqlite://PATH\" or \"postgres://USER@HOST/DATABASE\"",
        "\"sqlite://路径\" 或 \"postgres://用户@主机/数据库\"",
    ]
} else {
    ["\"sqlite://PATH\"", "\"sqlite://路径\""]
};
pub(super) const LISTEN_URL: Words = [
    "\"postgres://USER@HOST/DATABASE\"",
    "\"postgres://用户@主机/数据库\"",
];
pub(super) const NODE_NAME: Words = [
    "1 to 63 letters, digits, - _ or .",
    "1 到 63 个字母、数字或 - _ .",
];
pub(super) const RECIPIENTS_50: Words = [
    "at most 50 addresses, as an array or separated by commas",
    "最多 50 个邮箱地址，用数组或逗号分隔",
];
pub(super) const RECIPIENTS_1000: Words = [
    "at most 1000 addresses, as an array or separated by commas",
    "最多 1000 个邮箱地址，用数组或逗号分隔",
];
pub(super) const REGION: Words = [
    "the name of a region such as \"cn-hangzhou\" or \"ap-southeast-1\"",
    "地域名称，如 \"cn-hangzhou\" 或 \"ap-southeast-1\"",
];
pub(super) const RULES_1000: Words = [
    "at most 1000 addresses, or domains such as \"*@example.com\"",
    "最多 1000 个邮箱地址或域名（如 \"*@example.com\"）",
];
pub(super) const RULES_10000: Words = [
    "at most 10000 addresses, or domains such as \"*@example.com\"",
    "最多 10000 个邮箱地址或域名（如 \"*@example.com\"）",
];
pub(super) const SCOPES: Words = [
    "a list of \"post\", \"read\", \"operate\" and \"metrics\"",
    "\"post\"、\"read\"、\"operate\" 和 \"metrics\" 中的若干项",
];
pub(super) const STATUS_WORDS: Words = [
    "a list of texts such as [\"done\", \"0\"]; \"*\" matches all others",
    "文本列表，如 [\"done\", \"0\"]；\"*\" 匹配其余所有状态",
];
pub(super) const TEXT_1000: Words = ["text of at most 1000 characters", "最多 1000 个字符的文本"];
pub(super) const TIME_ZONE: Words = [
    "an IANA time zone such as \"Asia/Shanghai\" or \"UTC\"",
    "IANA 时区，如 \"Asia/Shanghai\" 或 \"UTC\"",
];
pub(super) const TOKEN_NAME: Words = [
    "1 to 31 letters, digits, - _ or .",
    "1 到 31 个字母、数字或 - _ .",
];
