//! Why a URL cannot be used, in English and Chinese.

/// The form that every error asks for.
const FORM: &str = "postgres://USER@HOST/DATABASE";
const FORM_ZH: &str = "postgres://用户@主机/数据库";

/// A part that a URL needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlPart {
    /// The host, or the directory of a unix socket.
    Host,
    /// The user name.
    User,
    /// The database.
    Database,
}

/// Why a URL cannot be used. Never contains a part of the URL that could be the password.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// It begins with another scheme.
    Scheme,
    /// It contains white space or a control character.
    Space,
    /// A user name, password or value contains an `@`, `/` or `?`.
    Unescaped,
    /// A `%` without two hexadecimal digits, or not UTF-8 after decoding.
    Percent,
    /// This host is invalid; the first one has number 1.
    Host(usize),
    /// The port of this host is invalid.
    Port(usize),
    /// The number of ports in `port=` is neither 1 nor that of the hosts.
    PortCount,
    /// A part is missing.
    Missing(UrlPart),
    /// A parameter is unknown. Without a name, it could be a piece of the password before it.
    Unknown {
        /// Its name.
        name: Option<String>,
        /// Its number; the first one has number 1.
        position: usize,
    },
    /// A parameter of libpq that is not supported.
    Unsupported {
        /// Its name.
        name: &'static str,
        /// What to do, in English and Chinese.
        instead: [&'static str; 2],
    },
    /// A parameter is given twice.
    Twice(&'static str),
    /// The value of a parameter is invalid.
    Value {
        /// The parameter.
        name: &'static str,
        /// The allowed values, in English and Chinese.
        allowed: [&'static str; 2],
    },
    /// `sslmode=disable` for another machine.
    Unencrypted,
    /// A unix socket beside hosts with encrypted connections.
    MixedSocket,
}

impl UrlError {
    /// The message in Chinese; `Display` has the English one.
    pub fn chinese(&self) -> String {
        match self {
            Self::Scheme => format!("应为 {FORM_ZH}"),
            Self::Space => "含有空白或控制字符；请删去，或把空格写成 %20".to_owned(),
            Self::Unescaped => {
                "用户名、密码或参数值中的 @、/、? 需要转义，请写成 %40、%2F、%3F".to_owned()
            }
            Self::Percent => "% 之后应为两位十六进制数字；% 本身请写成 %25".to_owned(),
            Self::Host(number) => format!(
                "第 {number} 个主机无效；应为名称、IPv4 地址、方括号中的 IPv6 地址，或 ?host= 之后的套接字目录"
            ),
            Self::Port(number) => {
                format!("第 {number} 个主机的端口无效；应为 1 到 65535 之间的整数")
            }
            Self::PortCount => "port 的数目与主机数目不符；请只写一个，或为每个主机写一个".to_owned(),
            Self::Missing(part) => missing_zh(*part),
            Self::Unknown {
                name: Some(name), ..
            } => format!("未知参数 {name}；请删去"),
            Self::Unknown { position, .. } => {
                format!("第 {position} 个参数未知；请删去，或把密码中的 & 写成 %26")
            }
            Self::Unsupported {
                name,
                instead: [_, zh],
            } => format!("不支持参数 {name}；{zh}"),
            Self::Twice(name) => format!("{name} 出现了两次；请删去其一"),
            Self::Value {
                name,
                allowed: [_, zh],
            } => format!("{name} 的值无效；应为 {zh}"),
            Self::Unencrypted => {
                "sslmode=disable 会使密码和邮件以明文经过网络；请写 sslmode=require，或经由本机的隧道连接".to_owned()
            }
            Self::MixedSocket => {
                "unix 套接字从不加密，因此不能与加密连接的主机并列；请只写主机，或只写套接字".to_owned()
            }
        }
    }
}

impl std::fmt::Display for UrlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Scheme => write!(f, "expected {FORM}"),
            Self::Space => f.write_str(
                "contains white space or a control character; remove it, or write a space as %20",
            ),
            Self::Unescaped => f.write_str(
                "a user name, password or value contains @, / or ?; write %40, %2F or %3F for it",
            ),
            Self::Percent => f.write_str(
                "a % must be followed by two hexadecimal digits; write the character itself as %25",
            ),
            Self::Host(number) => write!(
                f,
                "host {number} is invalid; expected a name, an IPv4 address, an IPv6 address in brackets, or the directory of a socket after ?host="
            ),
            Self::Port(number) => write!(
                f,
                "the port of host {number} is invalid; expected a number from 1 to 65535"
            ),
            Self::PortCount => f.write_str(
                "the number of ports differs from that of the hosts; write one port, or one for each host",
            ),
            Self::Missing(part) => f.write_str(&missing(*part)),
            Self::Unknown {
                name: Some(name), ..
            } => write!(f, "unknown parameter {name}; remove it"),
            Self::Unknown { position, .. } => write!(
                f,
                "parameter {position} is unknown; remove it, or write an & in the password as %26"
            ),
            Self::Unsupported {
                name,
                instead: [en, _],
            } => write!(f, "the parameter {name} is not supported; {en}"),
            Self::Twice(name) => write!(f, "{name} is given twice; remove one of them"),
            Self::Value {
                name,
                allowed: [en, _],
            } => write!(f, "invalid value of {name}, expected {en}"),
            Self::Unencrypted => f.write_str(
                "sslmode=disable would send the password and the mails over the network in the clear; write sslmode=require, or connect to a tunnel on this machine",
            ),
            Self::MixedSocket => f.write_str(
                "a unix socket is never encrypted, so it cannot stand beside hosts that are; write only hosts or only the socket",
            ),
        }
    }
}

impl std::error::Error for UrlError {}

fn missing(part: UrlPart) -> String {
    match part {
        UrlPart::Host => format!(
            "the host is missing; write {FORM}, or postgres://USER@/DATABASE?host=/run/postgresql for a unix socket"
        ),
        UrlPart::User => format!("the user name is missing; write {FORM}, or set PGUSER"),
        UrlPart::Database => format!("the database is missing; write {FORM}, or set PGDATABASE"),
    }
}

fn missing_zh(part: UrlPart) -> String {
    match part {
        UrlPart::Host => format!(
            "缺少主机；请写成 {FORM_ZH}，unix 套接字写成 postgres://用户@/数据库?host=/run/postgresql"
        ),
        UrlPart::User => format!("缺少用户名；请写成 {FORM_ZH}，或设置 PGUSER"),
        UrlPart::Database => format!("缺少数据库；请写成 {FORM_ZH}，或设置 PGDATABASE"),
    }
}
