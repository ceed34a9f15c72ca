//! Makes the small copies of one event's pictures.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};

use super::fetch::Fetcher;
use super::{Settings, SetupError, decode, local};
use crate::domain::{Absence, Capture, Image, JobEvent, Link, Preview};

/// The most pictures whose bytes are held at a time; each has at most 20 MiB.
const AT_A_TIME: usize = 8;
/// The most pictures that are decoded at a time; each takes a core and at most twice 128 MiB.
const DECODING: usize = 2;

/// Makes small copies by the settings that it was made with. Clones share what is bounded.
#[derive(Debug, Clone)]
pub struct Camera(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    root: Option<PathBuf>,
    public_url: Option<Link>,
    /// None looks at files only.
    fetcher: Option<Fetcher>,
    holding: Semaphore,
    decoding: Arc<Semaphore>,
}

impl Camera {
    /// A camera that looks at files and addresses.
    ///
    /// # Errors
    /// When TLS or HTTP cannot be set up.
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        Ok(Self::with(settings, Some(Fetcher::new(settings.hosts.clone())?)))
    }

    /// A camera that looks at files only and calls nobody.
    pub fn of_files(settings: &Settings) -> Self {
        Self::with(settings, None)
    }

    fn with(settings: &Settings, fetcher: Option<Fetcher>) -> Self {
        let (holding, decoding) = (Semaphore::new(AT_A_TIME), Arc::new(Semaphore::new(DECODING)));
        Self(Arc::new(Parts { root: settings.root.clone(), public_url: settings.public_url.clone(), fetcher, holding, decoding }))
    }

    /// Looks once at each of the first eight pictures of a job, all at a time, until `end`; what is not there by then is [`Absence::NoTime`].
    pub async fn capture(&self, job: &JobEvent, end: impl Future<Output = ()>) -> Vec<Capture> {
        let missing = |place| Capture { place, result: Err(Absence::NoTime) };
        let mut captures: Vec<Capture> = (0..job.images.len().min(Preview::MAX_PER_EVENT)).map(missing).collect();
        let mut looking = JoinSet::new();
        for (place, image) in job.images.iter().take(Preview::MAX_PER_EVENT).enumerate() {
            let (camera, image, sensitive) = (self.clone(), image.clone(), job.sensitive);
            looking.spawn(async move { (place, camera.look(&image, sensitive).await) });
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
                // It broke down, which leaves it missing.
                Some(Err(_)) => {}
                None => return captures,
            }
        }
    }

    async fn look(&self, image: &Image, sensitive: bool) -> Result<Preview, Absence> {
        let held = self.0.holding.acquire().await.map_err(|_| Absence::NoTime)?;
        let bytes = self.bytes(image).await?;
        let leave = Arc::clone(&self.0.decoding).acquire_owned().await.map_err(|_| Absence::NoTime)?;
        // The thread keeps the leave: it goes on when nobody waits for it any more.
        let decoded = spawn_blocking(move || {
            let preview = decode::shrink(&bytes, sensitive);
            drop(leave);
            preview
        });
        let preview = decoded.await.unwrap_or(Err(Absence::NotAPicture));
        drop(held);
        preview
    }

    /// The file where there is one, else what the link gives.
    async fn bytes(&self, image: &Image) -> Result<Vec<u8>, Absence> {
        let file = match (&self.0.root, &image.local_path) {
            (Some(root), Some(path)) => {
                let (root, path) = (root.clone(), path.clone());
                spawn_blocking(move || local::read(&root, &path)).await.unwrap_or(Err(Absence::NoFile))
            }
            _ => Err(Absence::NoFile),
        };
        match (file, &self.0.fetcher, image.link(self.0.public_url.as_ref())) {
            (Err(Absence::NoFile), Some(fetcher), Some(link)) => fetcher.fetch(&link).await,
            (file, ..) => file,
        }
    }
}
