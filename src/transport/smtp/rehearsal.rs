//! The envelope without a mail: whether the server would take it, told without sending anything.

use tokio::io::{AsyncRead, AsyncWrite};

use super::session::Session;
use crate::domain::{Failure, Stage};
use crate::transport::compose::Wire;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Says MAIL and RCPT as for this mail, one after the other, then takes them back. DATA is
    /// never said.
    ///
    /// # Errors
    /// The step that failed, classified as for a mail.
    pub async fn rehearse(&mut self, wire: &Wire<'_>) -> Result<(), Failure> {
        if let Some(failure) = self.unacceptable(wire) {
            return Err(failure);
        }
        self.in_turn(&[Stage::Mail, Stage::Rcpt], wire).await?;
        self.reset().await
    }
}
