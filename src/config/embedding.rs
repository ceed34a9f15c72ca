//! Configurations for programs that embed Jobbell: from TOML, from the environment or in code.

use std::path::Path;

use super::report::Findings;
use super::sources::Sources;
use super::{Config, Report, load, load_text};

impl Config {
    /// Reads a configuration from TOML, as `config.toml` has it. The environment and other files
    /// are ignored, except files that the text names.
    ///
    /// # Errors
    /// All problems of the text.
    pub fn from_toml(text: &str) -> Result<Self, Report> {
        let (sources, findings) = (Sources::default(), Findings::default());
        load_text(&sources, None, "config.toml", text, findings).map(|loaded| loaded.config)
    }

    /// Reads the configuration as the `jobbell` program does: `$JOBBELL_CONFIG`, `./config.toml` or
    /// `/etc/jobbell/config.toml`, then the variables `SMTP_*` and `JOBBELL_*`.
    ///
    /// # Errors
    /// All problems of the configuration.
    pub fn from_env() -> Result<Self, Report> {
        load(&Sources::from_process(None)).map(|loaded| loaded.config)
    }

    /// Starts a configuration in code. Keys that are not set have their defaults.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }
}

/// A configuration under construction: [`Config::builder`].
#[derive(Clone, Default)]
#[must_use = "call `build`"]
pub struct ConfigBuilder {
    keys: Vec<(String, String, String)>,
}

impl ConfigBuilder {
    /// The mail server's host name.
    pub fn smtp_host(self, host: &str) -> Self {
        self.set("smtp.host", host)
    }

    /// The mail server's port; 587 by default.
    pub fn smtp_port(self, port: u16) -> Self {
        self.set("smtp.port", &port.to_string())
    }

    /// User name and password for the mail server.
    pub fn smtp_login(self, username: &str, password: &str) -> Self {
        self.set("smtp.username", username)
            .set("smtp.password", password)
    }

    /// The sender: an address or `Name <address>`.
    pub fn from(self, sender: &str) -> Self {
        self.set("smtp.from", sender)
    }

    /// The default recipients, separated by commas.
    pub fn to(self, recipients: &str) -> Self {
        self.set("smtp.to", recipients)
    }

    /// The directory of the queue.
    pub fn state_dir(self, directory: impl AsRef<Path>) -> Self {
        self.set("queue.state_dir", &directory.as_ref().display().to_string())
    }

    /// Any other key of `config.toml`: `set("retry.max", "1h")`.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.keys.retain(|(known, ..)| known != key);
        self.keys
            .push((key.to_owned(), value.to_owned(), "builder".to_owned()));
        self
    }

    /// Checks all keys and builds the configuration.
    ///
    /// # Errors
    /// All problems of the configuration.
    pub fn build(self) -> Result<Config, Report> {
        let sources = Sources {
            overrides: self.keys,
            ..Sources::default()
        };
        load(&sources).map(|loaded| loaded.config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builder_and_toml_make_the_same_configuration() {
        let built = Config::builder()
            .smtp_host("mail.example.com")
            .smtp_port(2525)
            .from("a@example.com")
            .build()
            .unwrap();
        let read = Config::from_toml(
            "[smtp]\nhost = \"mail.example.com\"\nport = 2525\nfrom = \"a@example.com\"\n",
        )
        .unwrap();
        assert_eq!(built.smtp, read.smtp);
        assert_eq!(built.smtp.len(), 1);
    }

    #[test]
    fn builder_and_toml_report_every_problem() {
        let report = Config::builder()
            .set("smtp.prot", "25")
            .set("retry.max", "soon")
            .build()
            .unwrap_err();
        let text = report.to_string();
        assert!(
            text.contains("smtp.prot") && text.contains("retry.max"),
            "{text}"
        );
        let report = Config::from_toml("[smtp]\nport = 0\n").unwrap_err();
        assert!(report.to_string().contains("config.toml:2"), "{report}");
    }
}
