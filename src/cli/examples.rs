//! Examples at the end of the long help of each command.

pub(super) const CHECK: &str = "Examples:
  jobbell check
  jobbell --config /etc/jobbell/config.toml check --show";

pub(super) const TEST_EMAIL: &str = "Examples:
  jobbell test-email --to me@example.com
  jobbell test-email --all --dry-run";

pub(super) const SEND: &str = r#"Examples:
  jobbell send --to me@example.com --subject Report --text "All done"
  jobbell send --to me@example.com --subject Report --html report.html
  jobbell send --provider qq --username me@qq.com --from me@qq.com --to you@example.com --subject Hi --text Hello"#;

pub(super) const EVENT: &str = r#"Examples:
  jobbell event --status succeeded --title Kitten --image https://img.example.com/cat.png
  jobbell event --status failed --error "out of memory" --to me@example.com
  jobbell event --file events.ndjson"#;

pub(super) const RUN: &str = r#"Examples:
  jobbell run -- python train.py
  jobbell run --only-failure --title "Nightly backup" -- /usr/local/bin/backup.sh"#;

pub(super) const QUEUE: &str = "Examples:
  jobbell queue list --state dead
  jobbell queue show gen-1
  jobbell queue retry gen-1
  jobbell queue doctor
  jobbell queue backup /var/backups/jobbell.db";

pub(super) const NODES: &str = "Examples:
  jobbell nodes
  jobbell nodes drain worker-1
  jobbell nodes resume worker-1";

pub(super) const HOOKS: &str = r#"Examples:
  jobbell hooks failed
  jobbell hooks try github --file payload.json --header "X-GitHub-Event: workflow_run""#;

pub(super) const PROVIDERS: &str = "Examples:
  jobbell providers
  jobbell providers qq";

pub(super) const OAUTH: &str = "Examples:
  jobbell oauth
  jobbell oauth outlook";

pub(super) const PREVIEW: &str = "Examples:
  jobbell preview --file event.json
  jobbell preview --file event.json --html > mail.html";

pub(super) const TEMPLATES: &str = "Examples:
  jobbell templates export mails
  jobbell templates check mails
  jobbell templates preview success --dir mails --html > mail.html";
