//! Fetching blobs into the store: each once, from where an earlier attempt ended, from another host when one lies.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use corten_containerd_api::{ApiError, ContentWriter, Descriptor, Ingest, Labels, Store};
use corten_types::{Digest, ErrorKind};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::lease::{Kept, hold_content};
use crate::manifest::MANIFEST_MAX;
use crate::progress::{Progress, Sink, key};
use crate::pull::{PullError, api};
use crate::registry::{RegistryError, Repository, Turns, bare_host};
use crate::staging::Staging;

/// What is handed to the store at once.
const CHUNK: usize = 256 << 10;
/// Transfers of the whole process: with what each holds in buffers, together at most 8 MiB.
static TRANSFERS: Semaphore = Semaphore::const_new(8);
/// How long a pull waits for another that fetches the same blob.
const LOCKED_MAX: Duration = Duration::from_secs(60 * 60);
/// How often the sink hears of one blob.
const REPORT_EVERY: Duration = Duration::from_millis(100);
/// Times one blob is fetched from its beginning: once more after a host served something else.
const FETCHES_MAX: usize = 2;
/// Tries at discarding an ingest, and the time between them: nobody tells when its writer is closed.
const DISCARDS_MAX: usize = 10;
const DISCARD_AGAIN: Duration = Duration::from_millis(50);
/// How often a blob that was there may be gone the next moment: only a collection between two calls does that.
const VANISHED_MAX: usize = 5;
/// Longest label that containerd stores, key and value together.
pub(crate) const LABEL_MAX: usize = 4096;

/// What fetches the blobs of one pull.
pub(crate) struct Fetcher<S: Store> {
    /// Without the pull's lease: what is half-way there stays when the lease ends.
    store: S,
    leased: S,
    repository: Repository,
    sink: Sink,
    turns: Turns,
    downloads: usize,
    fetched: AtomicBool,
    /// Another blob could not be had: what is half-way stops where it is. Holds whether it can be continued.
    given_up: watch::Sender<Option<bool>>,
    /// What is unpacked while it comes, and which blobs are.
    staging: Mutex<(Staging<S>, HashSet<Digest>)>,
    kept: Kept<S>,
}

impl<S: Store> Fetcher<S> {
    pub(crate) fn new(
        store: S,
        leased: S,
        repository: Repository,
        sink: Sink,
        (turns, downloads): (Turns, usize),
    ) -> Self {
        let kept = Kept::of(store.clone(), &repository.reference().to_string());
        let staging = Mutex::new((Staging::beside(leased.clone(), downloads), HashSet::new()));
        Self {
            store,
            leased,
            repository,
            sink,
            turns,
            downloads,
            fetched: AtomicBool::new(false),
            given_up: watch::Sender::new(None),
            staging,
            kept,
        }
    }

    /// What this pull leaves to the next one, should it fail.
    pub(crate) fn kept(&self) -> &Kept<S> {
        &self.kept
    }

    fn staging(&self) -> MutexGuard<'_, (Staging<S>, HashSet<Digest>)> {
        // Every change is one call.
        self.staging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has these blobs unpacked as they come.
    pub(crate) fn unpack_on_the_way(&self, layers: impl IntoIterator<Item = Digest>) {
        self.staging().1.extend(layers);
    }

    /// What was unpacked on the way.
    pub(crate) fn take_staging(&self) -> Staging<S> {
        std::mem::replace(&mut self.staging().0, Staging::new(self.leased.clone()))
    }

    /// Begins to unpack the blob that the ingest `reference` receives, if it is to be.
    fn follow(&self, reference: &str, digest: &Digest) {
        let (staging, wanted) = &mut *self.staging();
        if wanted.contains(digest)
            && let Some(arriving) = self.store.follow(reference)
        {
            staging.follow(reference, arriving);
            staging.is_of(reference, digest);
        }
    }

    /// The store under the pull's lease.
    pub(crate) fn leased(&self) -> &S {
        &self.leased
    }

    /// Whether anything had to be fetched so far.
    pub(crate) fn has_fetched(&self) -> bool {
        self.fetched.load(Ordering::Relaxed)
    }

    fn report(&self, event: &str, descriptor: &Descriptor, parents: &[String], progress: u64) {
        (self.sink)(Progress::of_blob(event, descriptor, parents, progress));
    }

    pub(crate) async fn is_here(&self, digest: &Digest) -> Result<bool, PullError> {
        match self.leased.content_info(digest).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(source) => Err(PullError::Api { operation: format!("look up content {digest}"), source }),
        }
    }

    /// Labels content of this pull, and says where it can be had (containerd, "distribution source").
    pub(crate) async fn label(&self, descriptor: &Descriptor, labels: &Labels) -> Result<(), PullError> {
        let digest = &descriptor.digest;
        let mut labels = labels.clone();
        let info = self.leased.content_info(digest).await.map_err(api(format!("look up content {digest}")))?;
        let (name, path) = self.source();
        let known = info.labels.get(&name).map_or("", String::as_str);
        if !known.split(',').any(|known| known == path) {
            let value = if known.is_empty() { path.to_owned() } else { format!("{known},{path}") };
            if name.len() + value.len() <= LABEL_MAX {
                labels.insert(name, value);
            }
        }
        labels.retain(|key, value| info.labels.get(key) != Some(value));
        if labels.is_empty() {
            return Ok(());
        }
        self.leased.label_content(digest, &labels).await.map_err(api(format!("label content {digest}")))
    }

    fn source(&self) -> (String, &str) {
        let reference = self.repository.reference();
        let host = bare_host(reference.domain());
        (format!("containerd.io/distribution.source.{host}"), reference.path())
    }

    /// A manifest or index: from the store, or from the registry into it.
    pub(crate) async fn manifest(
        &self,
        descriptor: &Descriptor,
        data: Option<Bytes>,
        parents: &[String],
    ) -> Result<Bytes, PullError> {
        let digest = &descriptor.digest;
        if self.hold(digest).await? {
            self.report("already exists", descriptor, parents, descriptor.size);
            return self.leased.read_whole(digest, MANIFEST_MAX).await.map_err(api(format!("read content {digest}")));
        }
        self.fetched.store(true, Ordering::Relaxed);
        let data = match data {
            Some(data) => data,
            None => self.repository.manifest(descriptor).await?,
        };
        let operation = || format!("store content {digest}");
        self.leased.write_whole(digest, data.clone(), &Labels::new()).await.map_err(api(operation()))?;
        self.report("complete", descriptor, parents, descriptor.size);
        Ok(data)
    }

    /// Puts content that is there under the pull's lease; whether it is there.
    async fn hold(&self, digest: &Digest) -> Result<bool, PullError> {
        hold_content(&self.leased, digest).await.map_err(api(format!("look up content {digest}")))
    }

    /// Fetches blobs, as many at once as may be. The first error stops the others where they are, and is returned when
    /// they have stopped: nothing reaches the store after that.
    pub(crate) async fn blobs(own: &Arc<Self>, blobs: Vec<Descriptor>, parents: &[String]) -> Result<(), PullError> {
        let mut tasks = JoinSet::new();
        for blob in &blobs {
            own.report("waiting", blob, parents, 0);
        }
        for blob in blobs {
            let (own, parents) = (own.clone(), parents.to_vec());
            tasks.spawn(async move { own.blob(&blob, &parents).await });
        }
        let mut first = None;
        while let Some(done) = tasks.join_next().await {
            let result = done.unwrap_or_else(|_| Err(PullError::Panicked { what: "a layer".to_owned() }));
            if let Err(error) = result {
                own.given_up.send_replace(Some(may_be_continued(&error)));
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Does `work`, unless the pull is given up before it is done.
    async fn unless_given_up<T>(
        &self,
        descriptor: &Descriptor,
        work: impl Future<Output = Result<T, PullError>>,
    ) -> Result<T, PullError> {
        let mut given_up = self.given_up.subscribe();
        tokio::select! {
            biased;
            Ok(reason) = given_up.wait_for(Option::is_some) => {
                let may_be_continued = reason.unwrap_or_default();
                Err(PullError::GivenUp { what: key(descriptor), may_be_continued })
            }
            result = work => result,
        }
    }

    /// Makes sure that a blob is in the store and under the pull's lease.
    pub(crate) async fn blob(&self, descriptor: &Descriptor, parents: &[String]) -> Result<(), PullError> {
        let turn = async { Ok(self.turns.take(self.downloads).await) };
        let _turn = self.unless_given_up(descriptor, turn).await?;
        for _ in 0..VANISHED_MAX {
            if self.hold(&descriptor.digest).await? {
                self.report("already exists", descriptor, parents, descriptor.size);
                return self.label(descriptor, &Labels::new()).await;
            }
            // It is never closed.
            let buffers = async { Ok(TRANSFERS.acquire().await) };
            let _buffers = self.unless_given_up(descriptor, buffers).await?;
            self.fetch(descriptor, parents).await?;
            if self.hold(&descriptor.digest).await? {
                let kept = self.kept.keep(&descriptor.digest).await;
                kept.map_err(api(format!("keep content {}", descriptor.digest)))?;
                self.report("complete", descriptor, parents, descriptor.size);
                return self.label(descriptor, &Labels::new()).await;
            }
        }
        let source = ApiError::new(ErrorKind::Unavailable, "it is collected as soon as it is there");
        Err(PullError::Api { operation: format!("store content {}", descriptor.digest), source })
    }

    async fn fetch(&self, descriptor: &Descriptor, parents: &[String]) -> Result<(), PullError> {
        let digest = &descriptor.digest;
        let reference = key(descriptor);
        let mut host = 0;
        for attempt in 1.. {
            let opened = self.unless_given_up(descriptor, self.open(&reference, descriptor)).await?;
            let Some(mut writer) = opened else { return Ok(()) };
            if writer.offset() > descriptor.size {
                drop(writer);
                self.discard(&reference).await?;
                continue;
            }
            self.fetched.store(true, Ordering::Relaxed);
            self.follow(&reference, digest);
            let copied = self.unless_given_up(descriptor, self.copy(descriptor, &mut writer, host, parents)).await;
            let served_by = match copied {
                Ok(served_by) => served_by,
                Err(error) => {
                    drop(writer);
                    if !may_be_continued(&error)
                        && let Err(left) = self.discard(&reference).await
                    {
                        // Why the pull failed is what counts; the store lets the ingest expire.
                        tracing::warn!(reference, error = %left, "an ingest of a failed pull is left");
                    }
                    return Err(error);
                }
            };
            let labels = Labels::from([self.source()].map(|(name, path)| (name, path.to_owned())));
            let source = match writer.commit(Some(descriptor.size), Some(digest), &labels).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_already_exists() => return Ok(()),
                Err(error) => error,
            };
            self.discard(&reference).await?;
            if source.kind() != ErrorKind::FailedPrecondition {
                return Err(PullError::Api { operation: format!("store content {digest}"), source });
            }
            tracing::warn!(%digest, host = served_by.0, error = %source, "a host served something else");
            if attempt >= FETCHES_MAX {
                return Err(PullError::Content { host: served_by.0, digest: digest.clone(), source });
            }
            host = (served_by.1 + 1) % self.repository.hosts().max(1);
        }
        Ok(())
    }

    /// Opens the ingest, waiting while another pull has it; none when the blob is there.
    async fn open(&self, reference: &str, descriptor: &Descriptor) -> Result<Option<S::Writer>, PullError> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(20);
        loop {
            match self.store.ingest(reference, Some(&descriptor.digest), Some(descriptor.size)).await {
                Ok(Ingest::Exists) => return Ok(None),
                Ok(Ingest::Open(writer)) => return Ok(Some(writer)),
                Err(error) if is_locked(&error) && begun.elapsed() < LOCKED_MAX => {}
                Err(source) => return Err(PullError::Api { operation: format!("open ingest {reference}"), source }),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Discards an ingest. A containerd may still be closing its writer, and then fails to remove the directory: it is
    /// asked again.
    async fn discard(&self, reference: &str) -> Result<(), PullError> {
        let mut tries = 1;
        loop {
            match self.store.abort_ingest(reference).await {
                Err(error) if tries < DISCARDS_MAX => {
                    tracing::debug!(reference, %error, "an ingest is discarded once more");
                    tokio::time::sleep(DISCARD_AGAIN).await;
                    tries += 1;
                }
                done => return done.map_err(api(format!("discard ingest {reference}"))),
            }
        }
    }

    /// Copies what is missing of a blob; name and number of the host it came from.
    async fn copy(
        &self,
        descriptor: &Descriptor,
        writer: &mut S::Writer,
        first: usize,
        parents: &[String],
    ) -> Result<(String, usize), PullError> {
        let mut blob = self.repository.blob(descriptor, writer.offset(), first).await?;
        let failed = || format!("store content {}", descriptor.digest);
        let mut buffer = BytesMut::new();
        let mut reported: Option<Instant> = None;
        while let Some(data) = blob.next().await? {
            if reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
                reported = Some(Instant::now());
                self.report("downloading", descriptor, parents, blob.offset());
            }
            if buffer.is_empty() && data.len() >= CHUNK / 2 {
                writer.append(data).await.map_err(api(failed()))?;
                continue;
            }
            buffer.extend_from_slice(&data);
            if buffer.len() >= CHUNK {
                writer.append(buffer.split().freeze()).await.map_err(api(failed()))?;
            }
        }
        if !buffer.is_empty() {
            writer.append(buffer.freeze()).await.map_err(api(failed()))?;
        }
        Ok((blob.host().to_owned(), blob.host_number()))
    }
}

/// Whether another pull is writing the same ingest.
fn is_locked(error: &ApiError) -> bool {
    error.kind() == ErrorKind::Unavailable && error.message().contains("locked")
}

/// Whether the store has no room: what is kept there for the next attempt would keep it full.
fn is_full(error: &ApiError) -> bool {
    // containerd has no kind for it.
    error.kind() == ErrorKind::ResourceExhausted || error.message().contains("no space left on device")
}

/// Whether what was fetched before `error` is of use to the next attempt.
pub(crate) fn may_be_continued(error: &PullError) -> bool {
    match error {
        PullError::Registry(error) => match error {
            RegistryError::Connect { .. } | RegistryError::Broken { .. } | RegistryError::Stalled { .. } => true,
            RegistryError::Status { status, .. } => matches!(status, 401 | 403 | 408 | 429 | 500..),
            _ => false,
        },
        PullError::GivenUp { may_be_continued, .. } => *may_be_continued,
        PullError::Api { source, .. } => !is_full(source),
        _ => false,
    }
}
