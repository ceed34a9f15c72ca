//! A server of one test, which stops, kills, changes or fills it.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{PASSWORD, Server, bin, eventually, free_port, initialize, is_here, own, run};

/// The database of the test.
const DATABASE: &str = "jobbell";

/// Waits for the end of its standard input, whose other end only the test's process has, and removes
/// the server in the directory `$1`.
const AFTER_THE_TEST: &str = r#"
trap '' HUP INT TERM
cat >/dev/null
for tried in 1 2 3 4 5 6 7 8 9 10; do
    pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) || break
    tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -F -e "$1/" || break
    kill -QUIT "$pid"
    sleep 0.1
done
umount -l "$1/data"
rm -rf "$1"
"#;

/// A PostgreSQL server. It ends with this value, or with the test's process, however that ends.
pub struct PrivateServer {
    server: Arc<Server>,
    settings: Vec<&'static str>,
    home: Home,
}

/// The directory of a server.
struct Home {
    path: PathBuf,
    supervisor: Child,
}

impl Home {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!(
            "jobbell-test-postgres-{}",
            uuid::Uuid::now_v7().simple()
        ));
        fs::create_dir(&path).unwrap();
        let supervisor = Command::new("sh")
            .args(["-c", AFTER_THE_TEST, "supervisor"])
            .arg(&path)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Signals to the group of the tests do not reach it.
            .process_group(0)
            .spawn();
        own(&path);
        Self {
            supervisor: supervisor.unwrap(),
            path,
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        drop(self.supervisor.wait());
    }
}

impl PrivateServer {
    /// A running server with an empty database; `None` if PostgreSQL is not installed.
    pub async fn start(settings: &[&'static str]) -> Option<Self> {
        if !is_here() {
            return None;
        }
        let home = Home::new();
        initialize(&home.path, &home.path.join("data"));
        Some(Self::started(home, settings).await)
    }

    /// A server whose files are on a disk of this size in MiB, see [`Self::fill`]; `None` if it cannot
    /// be mounted.
    pub async fn on_small_disk(megabytes: u32) -> Option<Self> {
        if !is_here() {
            return None;
        }
        let home = Home::new();
        let data = home.path.join("data");
        fs::create_dir(&data).unwrap();
        let size = format!("size={megabytes}m,mode=0755");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&data)
            .stderr(Stdio::null());
        if !mount.status().is_ok_and(|status| status.success()) {
            eprintln!("skipped: cannot mount a small disk");
            return None;
        }
        own(&data);
        // So that WAL takes space when it is written.
        let wal = ["wal_recycle=off", "min_wal_size=32MB", "wal_init_zero=off"];
        initialize(&home.path, &data);
        Some(Self::started(home, &wal).await)
    }

    async fn started(home: Home, settings: &[&'static str]) -> Self {
        let server = Server {
            directory: home.path.clone(),
            port: free_port(),
        };
        let started = Self {
            server: Arc::new(server),
            settings: settings.to_vec(),
            home,
        };
        started.restart().await;
        let create = format!("CREATE DATABASE {DATABASE}");
        started.server.sql("postgres", &create).await;
        started
    }

    /// A standby of this name, which copies the server now and follows it. It is synchronous if
    /// `synchronous_standby_names` contains its name.
    pub async fn standby(&self, name: &str) -> Self {
        let home = Home::new();
        let (from, data) = (self.server.port, home.path.join("data"));
        let copy = format!(
            "{}/pg_basebackup -R -X stream -c fast --no-sync -D {} -d 'host=127.0.0.1 port={from} user=postgres password={PASSWORD} application_name={name}'",
            bin(),
            data.display()
        );
        blocking(move || run(&copy)).await;
        let standby = Self {
            server: Arc::new(Server {
                directory: home.path.clone(),
                port: free_port(),
            }),
            settings: Vec::new(),
            home,
        };
        standby.restart().await;
        let follows = format!(
            "SELECT 1 FROM pg_stat_replication WHERE application_name = '{name}' AND state = 'streaming'"
        );
        eventually("the standby follows", async || {
            !self.sql(&follows).await.is_empty()
        })
        .await;
        standby
    }

    /// Makes a standby the primary.
    pub async fn promote(&self) {
        assert_eq!(self.sql("SELECT pg_promote(true, 60)").await, ["t"]);
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// Its address.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The URL of its database.
    pub fn url(&self) -> String {
        self.server.url(DATABASE)
    }

    /// The URL of its database with several hosts: this server's and these.
    pub fn url_with(&self, others: &[&Self]) -> String {
        let hosts: Vec<_> = std::iter::once(self)
            .chain(others.iter().copied())
            .map(|server| format!("127.0.0.1:{}", server.port()))
            .collect();
        let url = self.url();
        let own = format!("127.0.0.1:{}", self.port());
        url.replace(&own, &hosts.join(","))
    }

    /// Runs statements and returns the first column of the last result's rows as text.
    pub async fn sql(&self, statements: &str) -> Vec<String> {
        self.server.sql(DATABASE, statements).await
    }

    /// Changes a setting that needs no restart.
    pub async fn set(&self, name: &str, value: &str) {
        const LOADED: &str = "SELECT pg_conf_load_time()";
        let before = self.sql(LOADED).await;
        self.sql(&format!("ALTER SYSTEM SET {name} = '{value}'"))
            .await;
        self.sql("SELECT pg_reload_conf()").await;
        eventually("the setting is loaded", async || {
            self.sql(LOADED).await != before
        })
        .await;
    }

    /// Starts it again and waits until it answers.
    pub async fn restart(&self) {
        let (server, settings) = (Arc::clone(&self.server), self.settings.clone());
        blocking(move || {
            let begun = Instant::now();
            loop {
                let output = server.launch(&settings);
                // After a kill, the old processes may still be ending.
                if output.status.success() || begun.elapsed() > Duration::from_secs(30) {
                    let log = fs::read_to_string(server.directory.join("log"));
                    assert!(output.status.success(), "{}", log.unwrap_or_default());
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        })
        .await;
    }

    /// Stops it: `fast` ends all sessions with an error, `immediate` leaves a recovery to the next
    /// start.
    pub async fn stop(&self, mode: &'static str) {
        let data = self.home.path.join("data");
        let stop = format!("{}/pg_ctl -D {} -w -m {mode} stop", bin(), data.display());
        blocking(move || run(&stop)).await;
    }

    /// Kills the postmaster. Its sessions end soon after.
    pub async fn kill(&self) {
        let pid = self.pid().expect("it runs");
        kill_process(pid, Signal::KILL).unwrap();
        let gone = Path::new("/proc").join(pid.as_raw_nonzero().to_string());
        eventually("the postmaster ends", async || !is_alive(&gone)).await;
    }

    /// Starts it again if it has ended by itself, as after a failed recovery.
    pub async fn restart_if_ended(&self) {
        let ended = self.pid().is_none_or(|pid| {
            !is_alive(&Path::new("/proc").join(pid.as_raw_nonzero().to_string()))
        });
        if ended {
            self.restart().await;
        }
    }

    fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.home.path.join("data/postmaster.pid")).ok()?;
        Pid::from_raw(text.lines().next()?.parse().ok()?)
    }

    /// Fills the small disk to the last page.
    pub fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    /// Frees the small disk again.
    pub fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.home.path.join("data/filler")
    }
}

/// Whether a process runs and is not a zombie.
fn is_alive(process: &Path) -> bool {
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

async fn blocking(work: impl FnOnce() + Send + 'static) {
    tokio::task::spawn_blocking(work).await.unwrap();
}
