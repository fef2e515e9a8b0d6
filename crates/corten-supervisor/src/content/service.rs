//! gRPC edge of the content.

use std::{fs::File, os::unix::fs::FileExt, pin::Pin, sync::Arc};

use corten_containerd_api::containerd::services::content::v1::content_server::Content;
use corten_proto::containerd::{
    events::ContentDelete,
    services::content::v1::{
        AbortRequest, DeleteContentRequest, InfoRequest, InfoResponse, ListContentRequest, ListContentResponse,
        ListStatusesRequest, ListStatusesResponse, ReadContentRequest, ReadContentResponse, StatusRequest,
        StatusResponse, UpdateRequest, UpdateResponse, WriteContentRequest, WriteContentResponse,
    },
};
use corten_types::error::ErrorKind;
use futures_util::stream;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::{ingest, records, write::Writer};
use crate::{
    Supervisor,
    caller::Caller,
    error::{Error, Result as Done},
    filter::Filter,
    in_its_own_task, leases,
    metadata::Durability,
};

/// Most bytes in one message of a read.
const CHUNK: u64 = 1 << 20;
/// Records in one message of a list.
const PAGE: usize = 100;

/// The handlers.
#[derive(Debug)]
pub struct ContentService(pub Arc<Supervisor>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait]
impl Content for ContentService {
    type ListStream = Answers<ListContentResponse>;
    type ReadStream = Answers<ReadContentResponse>;
    type WriteStream = Answers<WriteContentResponse>;

    async fn info(&self, request: Request<InfoRequest>) -> Result<Response<InfoResponse>, Status> {
        let caller = Caller::of(&request)?;
        let info = self.0.metadata.read(|c| records::get(c, &caller.namespace, &request.get_ref().digest))?;
        Ok(Response::new(InfoResponse { info: Some(info) }))
    }

    async fn update(&self, request: Request<UpdateRequest>) -> Result<Response<UpdateResponse>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        let UpdateRequest { info, update_mask } = request.into_inner();
        let (wanted, paths) = (info.unwrap_or_default(), update_mask.unwrap_or_default().paths);
        let change = move |c: &rusqlite::Connection| records::update(c, &namespace, &wanted, &paths);
        let info = self.0.metadata.write(Durability::Relaxed, change).await?;
        self.0.gc.deleted();
        Ok(Response::new(UpdateResponse { info: Some(info) }))
    }

    async fn list(&self, request: Request<ListContentRequest>) -> Result<Response<Self::ListStream>, Status> {
        let caller = Caller::of(&request)?;
        let found = self.0.metadata.read(|c| records::list(c, &caller.namespace, &request.get_ref().filters))?;
        let pages: Vec<_> = found.chunks(PAGE).map(|page| Ok(ListContentResponse { info: page.to_vec() })).collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(pages))))
    }

    async fn delete(&self, request: Request<DeleteContentRequest>) -> Result<Response<()>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        let digest = request.into_inner().digest;
        let (owner, removed) = (namespace.clone(), digest.clone());
        let supervisor = self.0.clone();
        let delete = async move {
            supervisor.metadata.write(Durability::Durable, move |c| records::delete(c, &owner, &removed)).await?;
            supervisor.gc.deleted();
            supervisor.events.publish(&namespace, "/content/delete", &ContentDelete { digest });
            Ok(())
        };
        Ok(Response::new(in_its_own_task(delete).await?))
    }

    async fn read(&self, request: Request<ReadContentRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let caller = Caller::of(&request)?;
        let ReadContentRequest { digest, offset, size } = request.into_inner();
        let (file, range) = open_range(&self.0, &caller, &digest, offset, size)?;
        Ok(Response::new(Box::pin(stream::unfold((Arc::new(file), range), next_chunk))))
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let caller = Caller::of(&request)?;
        let status = ingest::status(&self.0.content, &caller.namespace, &request.get_ref().r#ref)?;
        Ok(Response::new(StatusResponse { status: Some(status) }))
    }

    async fn list_statuses(
        &self,
        request: Request<ListStatusesRequest>,
    ) -> Result<Response<ListStatusesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let filter = Filter::parse(&request.get_ref().filters)?;
        let mut statuses = ingest::all(&self.0.content).map_err(|error| Error::io("list ingests", &error))?;
        statuses.retain(|(namespace, status)| *namespace == caller.namespace && filter.accepts(status));
        let statuses = statuses.into_iter().map(|(_, status)| status).collect();
        Ok(Response::new(ListStatusesResponse { statuses }))
    }

    async fn write(
        &self,
        request: Request<Streaming<WriteContentRequest>>,
    ) -> Result<Response<Self::WriteStream>, Status> {
        let caller = Caller::of(&request)?;
        let state = (self.0.clone(), caller, request.into_inner(), Stage::First);
        Ok(Response::new(Box::pin(stream::unfold(state, answer_next))))
    }

    async fn abort(&self, request: Request<AbortRequest>) -> Result<Response<()>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        let reference = request.into_inner().r#ref;
        ingest::abort(&self.0.content, &namespace, &reference)?;
        let change = move |c: &rusqlite::Connection| leases::leave(c, &namespace, "ingests", &reference);
        self.0.metadata.write(Durability::Relaxed, change).await?;
        Ok(Response::new(()))
    }
}

/// The bytes of a read that are still to be sent: from, to.
type Range = (u64, u64);

fn open_range(supervisor: &Supervisor, caller: &Caller, digest: &str, offset: i64, size: i64) -> Done<(File, Range)> {
    let file = super::open(supervisor, &caller.namespace, digest)?;
    let length = file.metadata().map_err(|error| Error::io(format!("blob {digest}"), &error))?.len();
    let past = || Error::new(ErrorKind::OutOfRange, format!("read past object length {length} bytes"));
    let from = u64::try_from(offset).ok().filter(|from| *from <= length).ok_or_else(past)?;
    let end = match u64::try_from(size).map_err(|_| past())? {
        0 => length,
        size => length.min(from.saturating_add(size)),
    };
    Ok((file, (from, end)))
}

impl From<std::num::TryFromIntError> for Error {
    fn from(_: std::num::TryFromIntError) -> Self {
        Self::new(ErrorKind::OutOfRange, "number out of range")
    }
}

async fn next_chunk(
    (file, (from, end)): (Arc<File>, Range),
) -> Option<(Result<ReadContentResponse, Status>, (Arc<File>, Range))> {
    if from >= end {
        return None;
    }
    let length = (end - from).min(CHUNK);
    let source = file.clone();
    let read = crate::blocking(move || {
        let mut data = vec![0; usize::try_from(length)?];
        source.read_exact_at(&mut data, from).map_err(|error| Error::io("read blob", &error))?;
        Ok(data)
    });
    match read.await {
        Ok(data) => Some((Ok(ReadContentResponse { offset: from as i64, data }), (file, (from + length, end)))),
        Err(error) => Some((Err(error.into()), (file, (end, end)))),
    }
}

enum Stage {
    First,
    Open(Box<Writer>),
    Over,
}

type Writing = (Arc<Supervisor>, Caller, Streaming<WriteContentRequest>, Stage);

async fn answer_next(
    (supervisor, caller, mut requests, mut stage): Writing,
) -> Option<(Result<WriteContentResponse, Status>, Writing)> {
    if matches!(stage, Stage::Over) {
        return None;
    }
    let request = match requests.message().await {
        Ok(Some(request)) => request,
        Ok(None) => return None,
        Err(status) => return Some((Err(status), (supervisor, caller, requests, Stage::Over))),
    };
    // In a task of its own: a client that goes away in the middle of a commit does not cancel it.
    let (for_task, by) = (supervisor.clone(), caller.clone());
    let step = tokio::spawn(async move {
        let mut writer = match std::mem::replace(&mut stage, Stage::Over) {
            Stage::Open(writer) => writer,
            _ => Box::new(Writer::open(for_task, by, &request).await?),
        };
        let answer = writer.take(request).await?;
        let stage = if writer.is_committed() { Stage::Over } else { Stage::Open(writer) };
        Ok::<_, Error>((answer, stage))
    });
    match step.await {
        Ok(Ok((answer, stage))) => Some((Ok(answer), (supervisor, caller, requests, stage))),
        Ok(Err(error)) => Some((Err(error.into()), (supervisor, caller, requests, Stage::Over))),
        Err(error) => Some((Err(Status::internal(error.to_string())), (supervisor, caller, requests, Stage::Over))),
    }
}
