//! The open door: a TCP or unix socket, opened here or inherited from the service manager.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::Listen;
use super::stream::Stream;

/// Connections that may wait in the kernel until they are accepted (it may hold fewer:
/// `net.core.somaxconn`).
const BACKLOG: u32 = 4_096;
/// Owner and group may connect to the unix socket.
const SOCKET_MODE: u32 = 0o660;

/// A socket that takes connections. Dropping it closes it; a socket file that was made here is
/// removed.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: String,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        made_here: Option<PathBuf>,
    },
}

/// The address cannot be listened on; one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {advice}")]
pub struct BindError {
    address: String,
    advice: String,
    #[source]
    source: io::Error,
}

impl Listener {
    /// Opens a socket. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// When the address is taken, not ours or not allowed.
    pub fn bind(listen: &Listen) -> Result<Self, BindError> {
        let opened = match listen {
            Listen::Tcp(address) => {
                bind_tcp(*address).map_err(|source| (advice_tcp(&source), source))
            }
            Listen::Unix(path) => bind_unix(path),
        };
        opened.map_err(|(advice, source)| BindError {
            address: listen.to_string(),
            advice,
            source,
        })
    }

    /// Takes a TCP socket that the service manager opened.
    ///
    /// # Errors
    /// When it does not listen, or the system refuses to make it non-blocking.
    pub fn from_tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        check_listens(&listener)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(Self {
            address: listener.local_addr()?.to_string(),
            socket: Socket::Tcp(listener),
        })
    }

    /// Takes a unix socket that the service manager opened; its file stays the manager's.
    ///
    /// # Errors
    /// When it does not listen, or the system refuses to make it non-blocking.
    pub fn from_unix(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        check_listens(&listener)?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let address = listener.local_addr()?.as_pathname().map_or_else(
            || "unix:(inherited)".to_owned(),
            |path| format!("unix:{}", path.display()),
        );
        Ok(Self {
            address,
            socket: Socket::Unix {
                listener,
                made_here: None,
            },
        })
    }

    /// Whether other machines can reach it: a TCP socket on another address than a loopback one.
    pub fn is_public(&self) -> bool {
        match &self.socket {
            Socket::Tcp(listener) => listener
                .local_addr()
                .map_or(true, |address| !address.ip().to_canonical().is_loopback()),
            Socket::Unix { .. } => false,
        }
    }

    /// Where it listens, as `127.0.0.1:8000` (the real port, also where port 0 was asked for) or
    /// `unix:/run/jobbell/jobbell.sock`.
    pub fn local_addr(&self) -> &str {
        &self.address
    }

    /// Waits for the next connection.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Answers are one small write; waiting to fill a segment would only delay them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection was gone before it was served");
                }
                Ok(Stream::Tcp(stream))
            }
            Socket::Unix { listener, .. } => listener
                .accept()
                .await
                .map(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Socket::Unix {
            made_here: Some(path),
            ..
        } = &self.socket
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::debug!(path = %path.display(), %error, "the socket file could not be removed");
        }
    }
}

/// A socket that was bound or connected but does not listen looks like one that does, until the
/// first connection should be accepted.
fn check_listens<S: AsFd>(socket: &S) -> io::Result<()> {
    if socket2::SockRef::from(socket).is_listener()? {
        return Ok(());
    }
    let advice = "the descriptor is a socket that does not listen; hand over a listening one (ListenStream= and Accept=no in the socket unit)";
    Err(io::Error::new(io::ErrorKind::InvalidInput, advice))
}

fn bind_tcp(address: std::net::SocketAddr) -> io::Result<Listener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    Ok(Listener {
        address: listener.local_addr()?.to_string(),
        socket: Socket::Tcp(listener),
    })
}

fn advice_tcp(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the port is in use; stop the program that holds it (ss -ltnp shows it) or set another port in server.listen".to_owned(),
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; set a higher port in server.listen or use socket activation".to_owned(),
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address; set one that it has, or 0.0.0.0, in server.listen".to_owned(),
        _ => format!("{error}; check server.listen"),
    }
}

fn bind_unix(path: &Path) -> Result<Listener, (String, io::Error)> {
    remove_stale(path)?;
    let listener = UnixListener::bind(path).map_err(|error| (advice_unix(path, &error), error))?;
    let listener = Listener {
        address: format!("unix:{}", path.display()),
        socket: Socket::Unix {
            listener,
            made_here: Some(path.to_owned()),
        },
    };
    let mode = std::fs::Permissions::from_mode(SOCKET_MODE);
    std::fs::set_permissions(path, mode)
        .map_err(|error| (format!("its mode cannot be set to 0660: {error}"), error))?;
    Ok(listener)
}

/// Removes the socket file that a killed daemon left behind, after asking whether anybody answers
/// there.
fn remove_stale(path: &Path) -> Result<(), (String, io::Error)> {
    let Ok(file) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !file.file_type().is_socket() {
        return Err(("a file that is no socket is in the way; remove it or set another path in server.listen".to_owned(), io::ErrorKind::AlreadyExists.into()));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| {
                (
                    format!("the stale socket file cannot be removed: {error}"),
                    error,
                )
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err((
            format!(
                "the socket file that is there cannot be checked ({error}); remove it or set another path in server.listen"
            ),
            error,
        )),
        Ok(_) => Err((
            "another program answers there; stop it or set another path in server.listen"
                .to_owned(),
            io::ErrorKind::AddrInUse.into(),
        )),
    }
}

fn advice_unix(path: &Path, error: &io::Error) -> String {
    let directory = path.parent().unwrap_or(Path::new(".")).display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("the directory {directory} is missing; make it or set another path in server.listen"),
        io::ErrorKind::PermissionDenied => format!("the directory {directory} may not be written to by this user; change its mode or server.listen"),
        io::ErrorKind::InvalidInput => "the path is longer than a socket's may be (107 bytes); set a shorter one in server.listen".to_owned(),
        _ => format!("{error}; check server.listen"),
    }
}
