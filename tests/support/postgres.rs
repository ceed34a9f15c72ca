//! Real PostgreSQL servers: one shared by the tests of one run, each with a database of its own, and
//! private ones for tests that stop, kill or fill theirs. In front of them a proxy that breaks
//! connections, or `PgBouncer`.
//!
//! The server is Debian's. It runs as user postgres if the tests run as root, since it refuses root.
//! The first test starts it; every test holds a shared lock, and a watcher that waits for the
//! exclusive lock stops the server after the last one, however that ended.

pub mod bouncer;
pub mod private;
pub mod proxy;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tokio_postgres::NoTls;

const PASSWORD: &str = "never-a-real-one";
/// How long the server stays after the last test, so that it serves the next one as well.
const LINGER: &str = "5";

/// A database of a test; dropped with this value.
#[derive(Debug)]
pub struct Database {
    server: Server,
    name: String,
    _users: File,
}

/// The address of a running server.
#[derive(Debug, Clone)]
pub struct Server {
    pub directory: PathBuf,
    pub port: u16,
}

/// The programs of the newest PostgreSQL on this machine.
pub fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<_> = versions
        .filter_map(|entry| {
            let path = entry.ok()?.path().join("bin");
            let version: u32 = path.parent()?.file_name()?.to_str()?.parse().ok()?;
            path.join("postgres").exists().then_some((version, path))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, path)| path)
}

/// Whether tests with PostgreSQL can run here. Where they must, a missing server is a failure.
pub fn is_here() -> bool {
    let here = programs().is_some();
    if !here {
        skipped("PostgreSQL is not installed (Debian's package postgresql)");
    }
    here
}

/// A test cannot run on this machine; fails it where it must.
fn skipped(why: &str) {
    let must = std::env::var("JOBBELL_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(!must, "{why}");
    eprintln!("skipped: {why}");
}

impl Database {
    /// An empty database; `None` if PostgreSQL is not installed.
    pub async fn create() -> Option<Self> {
        if !is_here() {
            return None;
        }
        let (server, users) = tokio::task::spawn_blocking(shared).await.unwrap();
        let name = format!("t{}", uuid::Uuid::now_v7().simple());
        server
            .sql("postgres", &format!("CREATE DATABASE {name}"))
            .await;
        Some(Self {
            server,
            name,
            _users: users,
        })
    }

    /// The URL of the database.
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// Its server, which other tests use too.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Runs statements and returns the first column of the last result's rows as text.
    pub async fn sql(&self, statements: &str) -> Vec<String> {
        self.server.sql(&self.name, statements).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let drop_it = async move {
            let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            server.sql("postgres", &statement).await;
        };
        // Outside the runtime of the test, which may be ending.
        let dropping = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(drop_it);
        });
        drop(dropping.join());
    }
}

impl Server {
    /// The URL of a database of this server.
    pub fn url(&self, database: &str) -> String {
        let port = self.port;
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/{database}")
    }

    /// See [`Database::sql`].
    pub async fn sql(&self, database: &str, statements: &str) -> Vec<String> {
        let (client, link) = tokio_postgres::connect(&self.url(database), NoTls)
            .await
            .unwrap();
        let link = tokio::spawn(link);
        let answers = client.simple_query(statements).await.unwrap();
        drop(client);
        drop(link.await);
        let mut rows = Vec::new();
        for answer in answers {
            match answer {
                tokio_postgres::SimpleQueryMessage::RowDescription(_) => rows.clear(),
                tokio_postgres::SimpleQueryMessage::Row(row) => {
                    rows.push(row.get(0).unwrap_or_default().to_owned());
                }
                _ => {}
            }
        }
        rows
    }

    /// A new server in `directory`, with these settings besides those of every test.
    pub fn start(directory: &Path, settings: &[&str]) -> Self {
        let data = directory.join("data");
        if !data.join("PG_VERSION").exists() {
            initialize(directory, &data);
        }
        let server = Self {
            directory: directory.to_owned(),
            port: free_port(),
        };
        expect(&server.launch(settings));
        server
    }

    /// Starts it with its files and on its port.
    fn launch(&self, settings: &[&str]) -> Output {
        let directory = self.directory.display();
        let mut options = format!(
            "-p {} -k {directory} -c listen_addresses=127.0.0.1 -c max_connections=300 -c shared_buffers=64MB -c autovacuum_naptime=5s",
            self.port
        );
        for setting in settings {
            options.extend([" -c ", *setting]);
        }
        output(&format!(
            "{}/pg_ctl -D {directory}/data -w -t 60 -l {directory}/log -o '{options}' start",
            bin()
        ))
    }
}

fn bin() -> String {
    programs().unwrap().display().to_string()
}

fn initialize(directory: &Path, data: &Path) {
    let password = directory.join("password");
    fs::write(&password, PASSWORD).unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o644)).unwrap();
    own(directory);
    run(&format!(
        "{}/initdb -D {} -U postgres -A scram-sha-256 --pwfile={} -E UTF8 --locale=C --no-sync",
        bin(),
        data.display(),
        password.display()
    ));
}

/// Gives the directory to the user who runs the server.
fn own(directory: &Path) {
    if rustix::process::geteuid().is_root() {
        let status = Command::new("chown")
            .arg("postgres")
            .arg(directory)
            .status();
        assert!(status.unwrap().success());
    }
}

/// Runs a command, which must succeed, as the user who runs the server.
fn run(command: &str) {
    expect(&output(command));
}

fn expect(output: &Output) {
    let (out, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{error}");
}

/// Runs a command as the user who runs the server.
fn output(command: &str) -> Output {
    let mut shell = if rustix::process::geteuid().is_root() {
        let mut shell = Command::new("setpriv");
        shell.args([
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "--reset-env",
            "sh",
        ]);
        shell
    } else {
        Command::new("sh")
    };
    shell
        .args(["-c", command])
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// A free port below those that the system hands out by itself: it stays free while its server is
/// stopped.
fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(10_000..32_000);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The shared server, and the lock that keeps it running.
fn shared() -> (Server, File) {
    let user = rustix::process::geteuid().as_raw();
    let home = std::env::temp_dir().join(format!("jobbell-test-postgres-{user}"));
    fs::create_dir_all(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    let started = File::create(home.join("start")).unwrap();
    started.lock().unwrap();
    let users = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(home.join("users"))
        .unwrap();
    // The watcher holds the exclusive lock while it stops the server.
    users.lock_shared().unwrap();
    let address = home.join("address");
    if let Some(server) = running(&address) {
        return (server, users);
    }
    let directory = home.join(format!("server-{}", uuid::Uuid::now_v7().simple()));
    fs::create_dir(&directory).unwrap();
    own(&directory);
    let server = Server::start(&directory, &["fsync=on"]);
    let text = format!("{} {}", server.port, directory.display());
    File::create(&address)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    watch(&home, &server);
    (server, users)
}

fn running(address: &Path) -> Option<Server> {
    let text = fs::read_to_string(address).ok()?;
    let (port, directory) = text.split_once(' ')?;
    let port = port.parse().ok()?;
    std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    Some(Server {
        directory: directory.into(),
        port,
    })
}

/// Stops the server when no test has held the lock for a while.
fn watch(home: &Path, server: &Server) {
    let (home, directory) = (home.display(), server.directory.display());
    let stop = format!(
        "rm -f {home}/address; kill -QUIT $(head -n 1 {directory}/data/postmaster.pid); sleep 1; rm -rf {directory}"
    );
    let script = format!(
        "cd /; while :; do flock -x {home}/users true; sleep {LINGER}; flock -n -x {home}/users sh -c '{stop}' && exit; done"
    );
    let watcher = Command::new("setsid")
        .args(["sh", "-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    drop(watcher.unwrap());
}

/// Waits until a condition holds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
