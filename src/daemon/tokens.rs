//! Where refresh tokens of mail servers are stored.

use crate::config::Config;
use crate::queue::Queue;
use crate::transport::oauth::TokenHome;

/// The database of a queue that nodes share, else files in `queue.state_dir`.
pub fn token_home(config: &Config, queue: &Queue) -> TokenHome {
    #[cfg(feature = "postgres")]
    if let Some(tokens) = queue.refresh_tokens() {
        return TokenHome::Shared(std::sync::Arc::new(shared::Tokens(tokens)));
    }
    TokenHome::Directory(config.queue.state_dir.clone())
}

/// The same for a command, which opens the database when it needs a token.
#[cfg(feature = "cli")]
pub(crate) fn token_home_of_command(config: &Config) -> TokenHome {
    #[cfg(feature = "postgres")]
    if config.queue.location.postgres().is_some() {
        return TokenHome::Shared(std::sync::Arc::new(shared::Later::new(&config.queue)));
    }
    TokenHome::Directory(config.queue.state_dir.clone())
}

#[cfg(feature = "postgres")]
mod shared {
    use std::time::Duration;

    #[cfg(feature = "cli")]
    use tokio::sync::OnceCell;

    use crate::queue::RefreshTokens;
    #[cfg(feature = "cli")]
    use crate::queue::{Queue, Settings};
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

    /// The tokens of a queue that is opened at the first use.
    #[cfg(feature = "cli")]
    #[derive(Debug)]
    pub(super) struct Later {
        settings: Settings,
        opened: OnceCell<RefreshTokens>,
    }

    #[cfg(feature = "cli")]
    impl Later {
        pub(super) fn new(settings: &Settings) -> Self {
            Self {
                settings: settings.clone(),
                opened: OnceCell::new(),
            }
        }

        async fn tokens(&self) -> Result<&RefreshTokens, StoreError> {
            let open = async || {
                let queue = Queue::open_existing(&self.settings).await;
                let queue = queue.map_err(|error| StoreError::Shared(error.to_string()))?;
                let none = || StoreError::Shared("the queue is not shared".to_owned());
                queue.refresh_tokens().ok_or_else(none)
            };
            self.opened.get_or_try_init(open).await
        }
    }

    #[cfg(feature = "cli")]
    impl SharedTokens for Later {
        fn load<'a>(&'a self, server: &'a str, origin: &'a str) -> TokenFuture<'a, Option<Secret>> {
            Box::pin(async move {
                let tokens = self.tokens().await?.load(server, origin).await;
                tokens.map_err(|error| failed(&error))
            })
        }

        fn save<'a>(
            &'a self,
            server: &'a str,
            origin: &'a str,
            token: &'a Secret,
        ) -> TokenFuture<'a, ()> {
            Box::pin(async move {
                let saved = self.tokens().await?.save(server, origin, token).await;
                saved.map_err(|error| failed(&error))
            })
        }

        fn reserve<'a>(&'a self, server: &'a str, time: Duration) -> TokenFuture<'a, bool> {
            Box::pin(async move {
                let reserved = self.tokens().await?.reserve(server, time).await;
                reserved.map_err(|error| failed(&error))
            })
        }

        fn release<'a>(&'a self, server: &'a str) -> TokenFuture<'a, ()> {
            Box::pin(async move {
                let released = self.tokens().await?.release(server).await;
                released.map_err(|error| failed(&error))
            })
        }
    }
}
