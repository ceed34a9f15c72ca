//! A `config.toml` in the working directory decides which files are read and where tokens are sent,
//! so it must belong to the caller.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::test_config::TestConfig;

/// A user other than root and the one running the tests.
const STRANGER: u32 = 65_534;
const TOKEN: &str = "token-canary-0123456789";

/// Gives the configuration to another user; `false` if that requires root.
type Prepare = fn(&TestConfig, &Path) -> bool;

/// A daemon that records its requests and answers 401.
async fn listener() -> (String, Arc<Mutex<String>>) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let received = Arc::<Mutex<String>>::default();
    let notes = Arc::clone(&received);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = socket.accept().await.unwrap();
            let mut buffer = vec![0; 8_192];
            let read = stream.read(&mut buffer).await.unwrap_or(0);
            notes
                .lock()
                .unwrap()
                .push_str(&String::from_utf8_lossy(&buffer[..read]).to_lowercase());
            drop(stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await);
        }
    });
    (address, received)
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Gives a file to another user; `false` if not permitted, and the case is skipped.
fn give_away(path: &Path) -> bool {
    let given = std::os::unix::fs::lchown(path, Some(STRANGER), Some(STRANGER)).is_ok();
    assert!(
        given || std::env::var_os("CI").is_none(),
        "CI runs these tests as root"
    );
    given
}

/// A new directory below a private one, with a configuration that sends its token to `address`.
fn foreign_config(address: &str) -> (TestConfig, PathBuf) {
    let mut config = TestConfig::bare();
    config
        .text("server.listen", address)
        .set("server.tokens", &format!("[{TOKEN:?}]"));
    let file = config.file();
    mode(&file, 0o600);
    (config, file)
}

/// Runs a command that would send the token; returns whether it did, and its output.
async fn run_command(
    config: &TestConfig,
    received: &Mutex<String>,
    arguments: &[&str],
) -> (bool, String) {
    received.lock().unwrap().clear();
    let finished = config.run(arguments).await;
    let sent = received.lock().unwrap().contains(TOKEN);
    (sent, finished.all())
}

#[tokio::test]
async fn working_directory_config_owned_by_the_caller_is_used() {
    let (address, received) = listener().await;
    let (config, file) = foreign_config(&address);
    for allowed in [0o600, 0o640, 0o644, 0o664] {
        mode(&file, allowed);
        let (sent, output) = run_command(&config, &received, &["queue", "stats"]).await;
        assert!(sent && !output.contains("ignored"), "{allowed:o}: {output}");
    }
    // A symbolic link owned by the caller counts, too.
    std::fs::rename(&file, config.path().join("mine.toml")).unwrap();
    symlink("mine.toml", &file).unwrap();
    assert!(run_command(&config, &received, &["queue", "stats"]).await.0);
}

#[tokio::test]
async fn config_writable_by_others_is_reported_and_skipped() {
    let (address, received) = listener().await;
    let ways: [(&str, Prepare); 6] = [
        ("writable for others", |_, file| {
            mode(file, 0o646);
            true
        }),
        ("a folder that is writable for others", |config, _| {
            mode(config.path(), 0o777);
            true
        }),
        ("a stranger's file", |_, file| give_away(file)),
        ("a stranger's folder", |config, _| give_away(config.path())),
        ("a stranger's link to a file of our own", |config, file| {
            std::fs::rename(file, config.path().join("mine.toml")).unwrap();
            symlink("mine.toml", file).unwrap();
            give_away(file)
        }),
        ("a link into a stranger's folder", |config, file| {
            let folder = config.path().join("theirs");
            std::fs::create_dir(&folder).unwrap();
            std::fs::rename(file, folder.join("config.toml")).unwrap();
            symlink("theirs/config.toml", file).unwrap();
            give_away(&folder)
        }),
    ];
    for (what, prepare) in ways {
        let (config, file) = foreign_config(&address);
        if !prepare(&config, &file) {
            eprintln!("left out: {what} needs root");
            continue;
        }
        for command in [
            &["queue", "stats"][..],
            &["event", "--status", "failed", "--error", "x"],
            &["hooks", "failed"],
        ] {
            let (sent, output) = run_command(&config, &received, command).await;
            assert!(
                !sent && received.lock().unwrap().is_empty(),
                "{what}: {output}"
            );
            assert!(
                output.contains("config.toml: file ignored")
                    && output.contains("--config config.toml"),
                "{what}: {output}"
            );
        }
        // Named explicitly, the file is the operator's choice.
        assert!(
            run_command(
                &config,
                &received,
                &["--config", "config.toml", "queue", "stats"]
            )
            .await
            .0,
            "{what}"
        );
        mode(config.path(), 0o700);
    }
}

#[tokio::test]
async fn config_of_another_program_is_skipped() {
    let config = TestConfig::bare();
    for foreign in [
        "",
        "# nothing\n",
        "[build]\ntarget = \"x\"\n",
        "title = \"site\"\n[params]\nserver = true\n",
        "\u{0}\u{1}binary",
    ] {
        std::fs::write(config.file(), foreign).unwrap();
        let finished = config.run(&["check"]).await;
        assert!(
            finished.err.contains("none of Jobbell's tables"),
            "{foreign:?}: {finished:#?}"
        );
    }
    std::fs::remove_file(config.file()).unwrap();
    std::fs::create_dir(config.file()).unwrap();
    let finished = config.run(&["check"]).await;
    assert!(
        finished.err.contains("not a regular file") && finished.err.contains("ignored"),
        "{finished:#?}"
    );
    // A syntax error in the first line does not make it a foreign file.
    std::fs::remove_dir(config.file()).unwrap();
    std::fs::write(
        config.file(),
        "\u{FEFF}[smtp\nhost = \"mail.example.com\"\n",
    )
    .unwrap();
    let finished = config.run(&["check"]).await;
    assert!(
        finished.code == Some(78) && finished.err.contains("config.toml:1:"),
        "{finished:#?}"
    );
}

#[tokio::test]
async fn token_is_sent_only_to_the_address_from_its_source() {
    let (address, received) = listener().await;
    let (mut config, file) = foreign_config("127.0.0.1:1");
    let stats = ["queue", "stats"];
    // The file's token, but an address from the environment or the command line.
    config.env("JOBBELL_SERVER__LISTEN", address.as_str());
    let (sent, output) = run_command(&config, &received, &stats).await;
    assert!(
        !sent && !received.lock().unwrap().is_empty() && output.contains("was not sent"),
        "{output}"
    );
    let url = format!("http://{address}");
    assert!(
        !run_command(&config, &received, &["queue", "stats", "--url", &url])
            .await
            .0
    );
    config.env("JOBBELL_URL", url.as_str());
    assert!(!run_command(&config, &received, &stats).await.0);
    // The operator's token goes to the operator's address.
    config.env("JOBBELL_TOKEN", TOKEN);
    assert!(run_command(&config, &received, &stats).await.0);
    // But not to the address in a file that happens to be here, as in a checkout of a foreign
    // repository.
    let (mut config, _) = foreign_config(&address);
    config.unset("server.tokens").env("JOBBELL_TOKEN", TOKEN);
    assert!(!run_command(&config, &received, &stats).await.0);
    config.env(
        "JOBBELL_CONFIG",
        file.with_file_name("config.toml").as_os_str(),
    );
    std::fs::write(&file, format!("[server]\nlisten = \"{address}\"\n")).unwrap();
    assert!(
        run_command(&config, &received, &stats).await.0,
        "the operator names that file"
    );
}

#[test]
fn test_directory_is_not_writable_by_others() {
    // Otherwise the first test would fail for a reason outside the program.
    let tmp = std::fs::metadata(std::env::temp_dir()).unwrap();
    assert!(
        tmp.mode() & 0o1002 != 0o0002,
        "the temporary folder is writable by others and not sticky"
    );
}
