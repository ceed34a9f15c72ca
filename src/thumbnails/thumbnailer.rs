//! Makes the thumbnails of an event.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::{JoinSet, spawn_blocking};
use url::Url;

use super::fetch::Fetcher;
use super::shares::{Limits, Share, Shares, Wanted};
use super::{Settings, SetupError, decoder, local};
use crate::domain::{Image, Link, MissingReason, Thumbnail, ThumbnailResult};

/// Maximum number of images held in memory, at most 20 MiB each: no host has more than two of the
/// eight slots.
const HOLDING: Limits = Limits {
    total: 8,
    per_host: 2,
    per_site: 4,
};
/// Maximum number of images decoded at a time, each in a child process that takes a core and at
/// most 256 MiB.
const DECODING: Limits = Limits {
    total: 2,
    per_host: 2,
    per_site: 2,
};

/// Makes thumbnails. Clones share the limits.
#[derive(Debug, Clone)]
pub struct Thumbnailer(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    root: Option<PathBuf>,
    public_url: Option<Link>,
    /// `None` for a thumbnailer that reads files only.
    fetcher: Option<Fetcher>,
    holding: Shares,
    decoding: Shares,
}

/// Where an image comes from.
struct Source<T> {
    file: Option<(PathBuf, String)>,
    url: Option<Result<Url, MissingReason>>,
    turn: T,
}

impl Thumbnailer {
    /// Creates a thumbnailer for files and URLs.
    ///
    /// # Errors
    /// If TLS or HTTP cannot be set up.
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        Ok(Self::with(
            settings,
            Some(Fetcher::new(settings.hosts.clone())?),
        ))
    }

    /// Creates a thumbnailer that reads files only.
    pub fn of_files(settings: &Settings) -> Self {
        Self::with(settings, None)
    }

    fn with(settings: &Settings, fetcher: Option<Fetcher>) -> Self {
        let (holding, decoding) = (Shares::new(HOLDING), Shares::new(DECODING));
        Self(Arc::new(Parts {
            root: settings.root.clone(),
            public_url: settings.public_url.clone(),
            fetcher,
            holding,
            decoding,
        }))
    }

    /// Makes the thumbnails of an event's first eight images concurrently, until `end`; those not
    /// finished by then are [`MissingReason::NoTime`]. Events processed at the same time need distinct
    /// numbers: they take turns.
    pub async fn capture(
        &self,
        event: u64,
        images: &[Image],
        sensitive: bool,
        end: impl Future<Output = ()>,
    ) -> Vec<ThumbnailResult> {
        let missing = |place| ThumbnailResult {
            place,
            result: Err(MissingReason::NoTime),
        };
        let mut captures: Vec<ThumbnailResult> = (0..images.len().min(Thumbnail::MAX_PER_EVENT))
            .map(missing)
            .collect();
        let mut looking = JoinSet::new();
        for (place, image) in images.iter().take(Thumbnail::MAX_PER_EVENT).enumerate() {
            // Requested here rather than in the tasks, so that an event's first image is served
            // first.
            let (thumbnailer, source) = (self.clone(), self.source(event, image));
            looking.spawn(async move {
                (
                    place,
                    thumbnailer.fetch_and_shrink(event, source, sensitive).await,
                )
            });
        }
        tokio::pin!(end);
        loop {
            let looked = tokio::select! {
                biased;
                () = &mut end => return captures,
                looked = looking.join_next() => looked,
            };
            match looked {
                Some(Ok((place, result))) => {
                    if let Some(capture) = captures.get_mut(place) {
                        capture.result = result;
                    }
                }
                // The task panicked, so its thumbnail stays missing.
                Some(Err(_)) => {}
                None => return captures,
            }
        }
    }

    /// The site of an image's link.
    pub(super) fn site(&self, image: &Image) -> Option<String> {
        let link = image.link(self.0.public_url.as_ref())?;
        self.0.fetcher.as_ref()?;
        Some(Wanted::at(0, &Url::parse(&link).ok()?).into_site())
    }

    /// The source of an image, and its request for a permit.
    fn source(&self, event: u64, image: &Image) -> Source<impl Future<Output = Share> + use<>> {
        let parts = &self.0;
        let file = parts.root.clone().zip(image.local_path.clone());
        let link = image
            .link(parts.public_url.as_ref())
            .filter(|_| parts.fetcher.is_some());
        let url = link.map(|link| Url::parse(&link).map_err(|_| MissingReason::NotAllowed));
        let wanted = match &url {
            Some(Ok(url)) if file.is_none() => Wanted::at(event, url),
            _ => Wanted::file(event),
        };
        Source {
            file,
            url,
            turn: parts.holding.acquire(wanted),
        }
    }

    /// The local file if there is one, else the link.
    async fn fetch_and_shrink(
        &self,
        event: u64,
        source: Source<impl Future<Output = Share>>,
        sensitive: bool,
    ) -> Result<Thumbnail, MissingReason> {
        let Source { file, url, turn } = source;
        let mut share = turn.await;
        if let Some((root, path)) = file {
            match spawn_blocking(move || local::read(&root, &path))
                .await
                .unwrap_or(Err(MissingReason::NoFile))
            {
                Err(MissingReason::NoFile) => {}
                file => return self.decode(share, file?, sensitive).await,
            }
            if let Some(Ok(url)) = &url {
                drop(share);
                share = self.0.holding.acquire(Wanted::at(event, url)).await;
            }
        }
        let (Some(fetcher), Some(url)) = (&self.0.fetcher, url) else {
            return Err(MissingReason::NoFile);
        };
        let (bytes, share) = fetcher.fetch(url?, event, share, &self.0.holding).await?;
        self.decode(share, bytes, sensitive).await
    }

    /// Waits for a permit and decodes; the bytes keep their slot until that is done.
    async fn decode(
        &self,
        held: Share,
        bytes: Vec<u8>,
        sensitive: bool,
    ) -> Result<Thumbnail, MissingReason> {
        let turn = self.0.decoding.acquire(held.wanted().clone()).await;
        // The thread owns both: it continues even if the future is dropped.
        let decoded = spawn_blocking(move || {
            let preview = decoder::shrink(bytes, sensitive);
            drop((held, turn));
            preview
        });
        decoded.await.unwrap_or(Err(MissingReason::NotAPicture))
    }
}
