//! The envelope without a mail: whether the server would take it, told without sending anything.

use tokio::io::{AsyncRead, AsyncWrite};

use super::session::Session;
use crate::domain::{Failure, Stage};
use crate::transport::compose::WireMessage;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Says MAIL and RCPT as for this mail, one after the other, then takes them back. DATA is
    /// never said.
    ///
    /// # Errors
    /// The step that failed, classified as for a mail.
    pub async fn dry_run(&mut self, wire: &WireMessage<'_>) -> Result<(), Failure> {
        if let Some(failure) = self.unacceptable(wire) {
            return Err(failure);
        }
        self.in_turn(&[Stage::Mail, Stage::Rcpt], wire).await?;
        self.reset().await
    }
}
