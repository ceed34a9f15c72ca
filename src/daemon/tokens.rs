//! Where refresh tokens of mail servers are stored.

use crate::config::Config;
use crate::queue::Queue;
use crate::transport::oauth::TokenHome;

/// The database of a queue that nodes share, else files in `queue.state_dir`.
pub fn token_home(config: &Config, queue: Option<&Queue>) -> TokenHome {
    #[cfg(feature = "postgres")]
    if let Some(tokens) = queue.and_then(Queue::refresh_tokens) {
        return TokenHome::Shared(std::sync::Arc::new(shared::Tokens(tokens)));
    }
    TokenHome::Directory(config.queue.state_dir.clone())
}

#[cfg(feature = "postgres")]
mod shared {
    use std::time::Duration;

    use crate::queue::RefreshTokens;
    use crate::secret::Secret;
    use crate::transport::oauth::{SharedTokens, StoreError, TokenFuture};

    #[derive(Debug)]
    pub(super) struct Tokens(pub(super) RefreshTokens);

    fn failed(error: &crate::queue::StoreError) -> StoreError {
        StoreError::Shared(error.to_string())
    }

    impl SharedTokens for Tokens {
        fn load<'a>(&'a self, server: &'a str, origin: &'a str) -> TokenFuture<'a, Option<Secret>> {
            Box::pin(async move {
                self.0
                    .load(server, origin)
                    .await
                    .map_err(|error| failed(&error))
            })
        }

        fn save<'a>(
            &'a self,
            server: &'a str,
            origin: &'a str,
            token: &'a Secret,
        ) -> TokenFuture<'a, ()> {
            Box::pin(async move {
                self.0
                    .save(server, origin, token)
                    .await
                    .map_err(|error| failed(&error))
            })
        }

        fn reserve<'a>(&'a self, server: &'a str, time: Duration) -> TokenFuture<'a, bool> {
            Box::pin(async move {
                self.0
                    .reserve(server, time)
                    .await
                    .map_err(|error| failed(&error))
            })
        }

        fn release<'a>(&'a self, server: &'a str) -> TokenFuture<'a, ()> {
            Box::pin(async move { self.0.release(server).await.map_err(|error| failed(&error)) })
        }
    }
}
