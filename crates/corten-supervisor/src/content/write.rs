//! `Content.Write`: one stream writes one ingest and may commit it.
//!
//! Every request is answered once, with the state after it. A stream that ends without a commit
//! leaves the ingest to be resumed.

use std::sync::Arc;

use bytes::Bytes;
use corten_proto::containerd::{
    events::ContentCreate,
    services::content::v1::{WriteAction, WriteContentRequest, WriteContentResponse},
};
use corten_types::error::ErrorKind;

use super::{
    ingest::{self, Ingest},
    records,
    store::Held,
};
use crate::{
    Supervisor,
    caller::Caller,
    error::{Error, Result},
    leases,
    metadata::{Durability, records::BLOBS},
    moment,
};

/// The writing side of one stream.
#[derive(Debug)]
pub struct Writer {
    supervisor: Arc<Supervisor>,
    caller: Caller,
    reference: String,
    expected: String,
    total: i64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Ingest(Box<Ingest>),
    /// Another namespace has the expected blob: it is taken over without its bytes.
    OnDisk {
        size: u64,
        _held: Held,
    },
    Committed,
}

impl Writer {
    /// Opens the ingest that `first` names.
    ///
    /// # Errors
    /// `AlreadyExists` when the namespace has the expected content (the caller's lease then holds
    /// it), `Unavailable` while another stream writes this reference.
    pub async fn open(supervisor: Arc<Supervisor>, caller: Caller, first: &WriteContentRequest) -> Result<Self> {
        let (reference, expected, total) = (first.r#ref.clone(), first.expected.clone(), first.total);
        if reference.is_empty() {
            return Err(Error::invalid("first message must have a reference"));
        }
        if !expected.is_empty() {
            records::check_digest(&expected)?;
        }
        let holder = (caller.clone(), reference.clone(), expected.clone());
        if caller.lease.is_some() || !expected.is_empty() {
            let change = move |c: &rusqlite::Connection| {
                let (caller, reference, expected) = &holder;
                if !expected.is_empty() && BLOBS.exists(c, &caller.namespace, expected)? {
                    leases::join(c, caller, "content", expected)?;
                    return Ok(true);
                }
                leases::join(c, caller, "ingests", reference)?;
                Ok(false)
            };
            if supervisor.metadata.write(Durability::Relaxed, change).await? {
                return Err(Error::already_exists(format!("content {expected}")));
            }
        }
        let source = Self::source(&supervisor, &caller, &reference, &expected, total).await?;
        let total = match &source {
            Source::Ingest(ingest) => ingest.total(),
            _ => total,
        };
        Ok(Self { supervisor, caller, reference, expected, total, source })
    }

    async fn source(
        supervisor: &Arc<Supervisor>,
        caller: &Caller,
        reference: &str,
        expected: &str,
        total: i64,
    ) -> Result<Source> {
        if !expected.is_empty() {
            let held = supervisor.content.hold(expected);
            if let Some(size) = supervisor.content.size(expected) {
                return Ok(Source::OnDisk { size, _held: held });
            }
        }
        let (store, namespace, reference) = (supervisor.clone(), caller.namespace.clone(), reference.to_owned());
        let open = move || Ingest::open(&store.content, &namespace, &reference, total);
        Ok(Source::Ingest(Box::new(crate::blocking(open).await?)))
    }

    /// Does what one request asks and answers it. After a commit nothing more may come.
    ///
    /// # Errors
    /// `OutOfRange` for an offset that is not the end, `FailedPrecondition` for another size or
    /// digest than promised, `AlreadyExists` when the content came to be meanwhile.
    pub async fn take(&mut self, request: WriteContentRequest) -> Result<WriteContentResponse> {
        let action = WriteAction::try_from(request.action)
            .map_err(|_| Error::unimplemented(format!("write action {}", request.action)))?;
        self.agree_on_target(&request).await?;
        let offset = self.offset();
        if action != WriteAction::Stat {
            if request.offset != 0 && request.offset != offset {
                let text = format!("write @{} must occur at current offset {offset}", request.offset);
                return Err(Error::new(ErrorKind::OutOfRange, text));
            }
            if request.offset == 0 && offset > 0 {
                self.restart().await?;
            }
            if !request.data.is_empty() {
                self.append(request.data.into()).await?;
            }
        }
        let mut answer = self.state(action);
        if action == WriteAction::Commit {
            answer.digest = self.commit(request.labels).await?;
        }
        Ok(answer)
    }

    /// Whether the content was committed, which ends the stream.
    pub fn is_committed(&self) -> bool {
        matches!(self.source, Source::Committed)
    }

    async fn agree_on_target(&mut self, request: &WriteContentRequest) -> Result<()> {
        if !request.expected.is_empty() && request.expected != self.expected {
            records::check_digest(&request.expected)?;
            if !self.expected.is_empty() {
                let (now, before) = (&request.expected, &self.expected);
                return Err(Error::invalid(format!("expected digest changed: {now} after {before}")));
            }
            self.expected.clone_from(&request.expected);
            let (namespace, expected) = (&self.caller.namespace, &self.expected);
            if self.supervisor.metadata.read(|c| BLOBS.exists(c, namespace, expected))? {
                // The bytes are of no more use; containerd aborts the ingest here as well.
                let _ = ingest::abort(&self.supervisor.content, namespace, &self.reference);
                return Err(Error::already_exists(format!("blob with expected digest {expected} exists")));
            }
        }
        if request.total > 0 {
            if self.total > 0 && request.total != self.total {
                let text =
                    format!("commit size {} does not match the total {} declared before", request.total, self.total);
                return Err(Error::invalid(text));
            }
            self.total = request.total;
        }
        Ok(())
    }

    fn offset(&self) -> i64 {
        let offset = match &self.source {
            Source::Ingest(ingest) => ingest.offset(),
            Source::OnDisk { size, .. } => *size,
            Source::Committed => 0,
        };
        offset.try_into().unwrap_or(i64::MAX)
    }

    async fn restart(&mut self) -> Result<()> {
        match &mut self.source {
            Source::Ingest(ingest) => {
                ingest.restart().map_err(|error| Error::io(format!("truncate ingest {}", self.reference), &error))
            }
            // The client insists on sending the bytes, so they are taken and checked.
            Source::OnDisk { .. } => {
                let (supervisor, namespace) = (self.supervisor.clone(), self.caller.namespace.clone());
                let (reference, total) = (self.reference.clone(), self.total);
                let open = move || {
                    let mut ingest = Ingest::open(&supervisor.content, &namespace, &reference, total)?;
                    ingest.restart().map_err(|error| Error::io(format!("truncate ingest {reference}"), &error))?;
                    Ok(ingest)
                };
                self.source = Source::Ingest(Box::new(crate::blocking(open).await?));
                Ok(())
            }
            Source::Committed => Err(Error::precondition("write on a committed writer")),
        }
    }

    /// Appends `data` to the ingest.
    ///
    /// # Errors
    /// `FailedPrecondition` when it is committed, or needs no bytes; what writing fails with.
    pub async fn append(&mut self, data: Bytes) -> Result<()> {
        if let Source::OnDisk { .. } = self.source {
            return Err(Error::precondition(format!("content {} is complete", self.expected)));
        }
        let Source::Ingest(mut ingest) = std::mem::replace(&mut self.source, Source::Committed) else {
            return Err(Error::precondition("write on a committed writer"));
        };
        let reference = self.reference.clone();
        let (ingest, result) = crate::blocking(move || {
            let result = ingest.append(data);
            Ok((ingest, result))
        })
        .await?;
        self.source = Source::Ingest(ingest);
        result.map_err(|error| Error::io(format!("write ingest {reference}"), &error))
    }

    fn state(&self, action: WriteAction) -> WriteContentResponse {
        let (started_at, updated_at) = match &self.source {
            Source::Ingest(ingest) => ingest.times(),
            _ => (moment::now(), moment::now()),
        };
        WriteContentResponse {
            action: action.into(),
            started_at: Some(started_at),
            updated_at: Some(updated_at),
            offset: self.offset(),
            total: self.total,
            digest: match &self.source {
                Source::Ingest(ingest) => ingest.digest(),
                _ => self.expected.clone(),
            },
        }
    }

    /// Checks size and digest, makes the blob durable and records it.
    async fn commit(&mut self, labels: std::collections::HashMap<String, String>) -> Result<String> {
        let (reference, size) = (&self.reference, self.offset());
        if self.total > 0 && self.total != size {
            let total = self.total;
            return Err(Error::precondition(format!("{reference:?} failed size validation: {size} != {total}")));
        }
        let digest = self.state(WriteAction::Commit).digest;
        if !self.expected.is_empty() && digest != self.expected {
            let expected = &self.expected;
            return Err(Error::precondition(format!("unexpected commit digest {digest}, expected {expected}")));
        }
        let held = self.supervisor.content.hold(&digest);
        let source = std::mem::replace(&mut self.source, Source::Committed);
        if let Source::Ingest(ingest) = source {
            let (supervisor, blob, reference) = (self.supervisor.clone(), digest.clone(), self.reference.clone());
            let finish = move || {
                let done = ingest.into_blob(&supervisor.content, &blob);
                done.map_err(|error| Error::io(format!("commit ingest {reference}"), &error))
            };
            crate::blocking(finish).await?;
        }
        // What is written under a lease becomes part of something (an image) whose durable record
        // makes this one durable as well; content on its own is acknowledged here.
        let durability = if self.caller.lease.is_some() { Durability::Relaxed } else { Durability::Durable };
        let (caller, reference, blob) = (self.caller.clone(), self.reference.clone(), digest.clone());
        let change = move |c: &rusqlite::Connection| records::create(c, &caller, &reference, &blob, size, labels);
        let created = self.supervisor.metadata.write(durability, change).await;
        drop(held);
        created?;
        let event = ContentCreate { digest: digest.clone(), size, ..ContentCreate::default() };
        self.supervisor.events.publish(&self.caller.namespace, "/content/create", &event);
        Ok(digest)
    }
}
