//! Sending blobs, several at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use corten_containerd_api::{Descriptor, Labels, Store};
use corten_types::Digest;
use tokio::task::JoinSet;

use super::tree::Cargo;
use super::{PushError, api};
use crate::compress::compressed;
use crate::progress::{Progress, Sink};
use crate::registry::{Limits, Pieces, Repository, Sent, bare_host};

/// What is read of the store at once.
const CHUNK: usize = 256 << 10;
/// How often the sink hears of one blob.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Sends blobs.
#[derive(Clone)]
pub(super) struct Sender<S> {
    pub(super) store: S,
    pub(super) repository: Repository,
    pub(super) sink: Sink,
}

impl<S: Store> Sender<S> {
    /// Sends everything, compressing what is to be compressed; what went as something else, by its digest here.
    ///
    /// A blob goes as soon as it is what it shall be, while the next one is compressed: neither the processors nor the
    /// registry wait for the other.
    pub(super) async fn blobs(
        &self,
        cargo: Vec<Cargo>,
        limits: &Limits,
        uploads: usize,
    ) -> Result<HashMap<Digest, Descriptor>, PushError> {
        let mut tasks = JoinSet::new();
        for Cargo { blob, parents, compressed_type } in cargo {
            if compressed_type.is_none() {
                (self.sink)(Progress::of_blob("waiting", &blob, &parents, 0));
            }
            let (own, limits) = (self.clone(), limits.clone());
            tasks.spawn(async move {
                let Some(media_type) = compressed_type else {
                    let _turn = limits.uploads.take(uploads).await;
                    return own.blob(&blob, &parents).await.map(|()| None);
                };
                (own.sink)(Progress::of_blob("compressing", &blob, &parents, 0));
                let made = compressed(&own.store, &blob, &limits.compressions).await;
                let (digest, size) = made.map_err(api(format!("compress layer {}", blob.digest)))?;
                let plain = blob.digest.clone();
                let blob = Descriptor { media_type: media_type.to_owned(), digest, size, ..blob };
                (own.sink)(Progress::of_blob("waiting", &blob, &parents, 0));
                let _turn = limits.uploads.take(uploads).await;
                own.blob(&blob, &parents).await.map(|()| Some((plain, blob)))
            });
        }
        let mut went = HashMap::new();
        // The first error ends the others: what they sent without a manifest is nothing to a registry.
        while let Some(done) = tasks.join_next().await {
            went.extend(done.map_err(|_| PushError::Panicked)??);
        }
        Ok(went)
    }

    async fn blob(&self, blob: &Descriptor, parents: &[String]) -> Result<(), PushError> {
        let reference = self.repository.reference();
        let source = format!("containerd.io/distribution.source.{}", bare_host(reference.domain()));
        let digest = &blob.digest;
        let info = self.store.content_info(digest).await.map_err(api(format!("look up content {digest}")))?;
        let known = info.labels.get(&source).map_or("", String::as_str);
        let repositories: Vec<String> = known.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let sent = self.repository.push_blob(blob, &repositories, &self.pieces(blob, parents)).await?;
        let report = |event: &str| (self.sink)(Progress::of_blob(event, blob, parents, blob.size));
        match &sent {
            Sent::Existed => report("already exists"),
            Sent::Mounted(from) => report(&format!("mounted from {from}")),
            Sent::Uploaded => report("complete"),
        }
        if repositories.iter().any(|name| name == reference.path()) {
            return Ok(());
        }
        let value =
            if known.is_empty() { reference.path().to_owned() } else { format!("{known},{}", reference.path()) };
        let labels = BTreeMap::from([(source, value)]);
        if labels.iter().all(|(name, value)| name.len() + value.len() <= crate::fetch::LABEL_MAX) {
            let labels: Labels = labels;
            self.store.label_content(digest, &labels).await.map_err(api(format!("label content {digest}")))?;
        }
        Ok(())
    }

    /// Reads the blob from the store while it is sent.
    fn pieces(&self, blob: &Descriptor, parents: &[String]) -> Pieces {
        let (own, blob, parents) = (self.clone(), blob.clone(), parents.to_vec());
        Arc::new(move |offset, length| {
            let state = (own.clone(), blob.clone(), parents.clone(), offset, offset + length, None::<Instant>);
            Box::pin(futures_util::stream::try_unfold(state, |state| async move {
                let (own, blob, parents, offset, end, mut reported) = state;
                if offset >= end {
                    return Ok(None);
                }
                if reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
                    reported = Some(Instant::now());
                    (own.sink)(Progress::of_blob("uploading", &blob, &parents, offset));
                }
                let size = CHUNK.min(usize::try_from(end - offset).unwrap_or(CHUNK));
                let data = own.store.read_content(&blob.digest, offset, size).await?;
                if data.is_empty() {
                    return Err(format!("content {} ends at byte {offset}", blob.digest).into());
                }
                let next = offset + data.len() as u64;
                Ok(Some((data, (own, blob, parents, next, end, reported))))
            }))
        })
    }
}
