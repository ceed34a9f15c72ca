//! The listening socket: TCP or unix, opened here or inherited from the service manager.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::Listen;
use super::stream::Stream;

/// Connections that may wait in the kernel (bounded by `net.core.somaxconn`).
const BACKLOG: u32 = 4_096;
/// Owner and group may connect to the unix socket.
const SOCKET_MODE: u32 = 0o660;

/// A listening socket. Dropping it closes it and removes a socket file that was created here.
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

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {advice}")]
pub struct BindError {
    address: String,
    advice: String,
    #[source]
    source: io::Error,
}

impl Listener {
    /// Opens a socket. Requires a tokio runtime.
    ///
    /// # Errors
    /// If the address is in use, not local or not permitted.
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

    /// Uses a TCP socket that the service manager opened.
    ///
    /// # Errors
    /// If it does not listen or cannot be made non-blocking.
    pub fn from_tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        check_listens(&listener)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(Self {
            address: listener.local_addr()?.to_string(),
            socket: Socket::Tcp(listener),
        })
    }

    /// Uses a unix socket that the service manager opened and whose file the manager owns.
    ///
    /// # Errors
    /// If it does not listen or cannot be made non-blocking.
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

    /// Whether other machines can connect: a TCP socket on a non-loopback address.
    pub fn is_public(&self) -> bool {
        match &self.socket {
            Socket::Tcp(listener) => listener
                .local_addr()
                .map_or(true, |address| !address.ip().to_canonical().is_loopback()),
            Socket::Unix { .. } => false,
        }
    }

    /// The address, such as `127.0.0.1:8000` (with the actual port) or
    /// `unix:/run/jobbell/jobbell.sock`.
    pub fn local_addr(&self) -> &str {
        &self.address
    }

    /// Accepts a connection.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Responses are one small write, so delaying them gains nothing.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "connection closed before it was served");
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
            tracing::debug!(path = %path.display(), %error, "could not remove the socket file");
        }
    }
}

/// A socket that is bound but not listening fails only on `accept`.
fn check_listens<S: AsFd>(socket: &S) -> io::Result<()> {
    if socket2::SockRef::from(socket).is_listener()? {
        return Ok(());
    }
    let advice =
        "the inherited socket does not listen; use ListenStream= and Accept=no in the socket unit";
    Err(io::Error::new(io::ErrorKind::InvalidInput, advice))
}

fn bind_tcp(address: std::net::SocketAddr) -> io::Result<Listener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart must not wait for TIME_WAIT.
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
        io::ErrorKind::AddrInUse => "the port is in use; stop the other program (see ss -ltnp) or change server.listen".to_owned(),
        io::ErrorKind::PermissionDenied => "ports below 1024 require privileges; use a higher port in server.listen, or socket activation".to_owned(),
        io::ErrorKind::AddrNotAvailable => "no network interface has this address; set another one, or 0.0.0.0, in server.listen".to_owned(),
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
        .map_err(|error| (format!("could not set its mode to 0660: {error}"), error))?;
    Ok(listener)
}

/// Removes the socket file of a killed daemon, unless a process listens there.
fn remove_stale(path: &Path) -> Result<(), (String, io::Error)> {
    let Ok(file) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !file.file_type().is_socket() {
        return Err((
            "the path exists and is not a socket; remove it or change server.listen".to_owned(),
            io::ErrorKind::AlreadyExists.into(),
        ));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| {
                (
                    format!("could not remove the stale socket file: {error}"),
                    error,
                )
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err((
            format!(
                "could not check the existing socket file ({error}); remove it or change server.listen"
            ),
            error,
        )),
        Ok(_) => Err((
            "another program listens there; stop it or change server.listen".to_owned(),
            io::ErrorKind::AddrInUse.into(),
        )),
    }
}

fn advice_unix(path: &Path, error: &io::Error) -> String {
    let directory = path.parent().unwrap_or(Path::new(".")).display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("the directory {directory} does not exist; create it or change server.listen")
        }
        io::ErrorKind::PermissionDenied => format!(
            "permission denied in the directory {directory}; change its mode or server.listen"
        ),
        io::ErrorKind::InvalidInput => {
            "the path exceeds the limit for sockets (107 bytes); shorten it in server.listen"
                .to_owned()
        }
        _ => format!("{error}; check server.listen"),
    }
}
