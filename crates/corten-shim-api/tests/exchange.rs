//! Client and server over one socket.

#![allow(clippy::unwrap_used, reason = "a test says by panicking")]

use std::{sync::Arc, time::Duration};

use corten_proto::{
    containerd::task::v2::{ConnectRequest, ConnectResponse, WaitRequest},
    google::rpc::Status,
};
use corten_shim_api::{Call, CallError, Client, Service, code, server, socket};
use prost::Message;

/// Answers Connect, hangs in Wait, refuses Kill with an extra field, knows nothing else.
struct Shim;

impl Service for Shim {
    async fn call(self: Arc<Self>, call: Call) -> Result<Vec<u8>, Status> {
        match (call.service.as_str(), call.method.as_str()) {
            ("containerd.task.v2.Task", "Connect") => {
                let request: ConnectRequest = call.decode()?;
                let version = format!("{} in {}", request.id, call.namespace().unwrap_or("-"));
                Ok(ConnectResponse { shim_pid: 1, task_pid: 2, version }.encode_to_vec())
            }
            ("containerd.task.v2.Task", "Wait") => std::future::pending().await,
            ("containerd.task.v2.Task", "Kill") => {
                let corten_kind = "not_found".to_owned();
                Err(Status { code: code::NOT_FOUND, message: "gone".into(), corten_kind, ..Status::default() })
            }
            ("containerd.task.v2.Task", _) => Err(call.unimplemented(true)),
            _ => Err(call.unimplemented(false)),
        }
    }
}

async fn connected() -> (Client, tempfile::TempDir) {
    let directory = tempfile::Builder::new().prefix("corten-ttrpc-").tempdir().unwrap();
    // Longer than an address holds.
    let deep = directory.path().join("a-name-of-thirty-characters-ab".repeat(4));
    std::fs::create_dir(&deep).unwrap();
    let path = deep.join("s.sock");
    tokio::spawn(server::serve(socket::bind(&path).unwrap(), Arc::new(Shim)));
    (Client::connect(&path).await.unwrap(), directory)
}

fn connect(id: &str) -> ConnectRequest {
    ConnectRequest { id: id.to_owned() }
}

#[tokio::test(flavor = "current_thread")]
async fn calls_are_answered_with_their_metadata() {
    let (client, _directory) = connected().await;
    let client = client.with_namespace("moby");
    let answer = client.connect_task(&connect("x"), None).await.unwrap();
    assert_eq!(answer.version, "x in moby");
    assert_eq!(client.peer_pid(), Some(std::process::id() as i32));
}

#[tokio::test(flavor = "current_thread")]
async fn a_hundred_calls_at_once_find_their_answers() {
    let (client, _directory) = connected().await;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..100 {
        let client = client.clone();
        calls.spawn(async move {
            let answer = client.connect_task(&connect(&number.to_string()), None).await.unwrap();
            assert_eq!(answer.version, format!("{number} in -"));
        });
    }
    while let Some(joined) = calls.join_next().await {
        joined.unwrap();
    }
}

#[tokio::test(flavor = "current_thread")]
async fn unknown_services_and_methods_answer_code_12() {
    let (client, _directory) = connected().await;
    for (service, method) in [("containerd.task.v2.Task", "Nope"), ("containerd.task.v9.Task", "Connect")] {
        let error = client.call::<_, ()>(service, method, &connect("x"), None).await.unwrap_err();
        assert!(error.is_unimplemented(), "{service}/{method}: {error:?}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_status_comes_through_with_its_extra_fields() {
    let (client, _directory) = connected().await;
    let error = client.kill(&Default::default(), None).await.unwrap_err();
    let CallError::Status(status) = error else { panic!("{error:?}") };
    assert_eq!((status.code, status.message.as_str(), status.corten_kind.as_str()), (5, "gone", "not_found"));
}

#[tokio::test(flavor = "current_thread")]
async fn the_time_of_a_call_ends_and_the_connection_goes_on() {
    let (client, _directory) = connected().await;
    let error = client.wait(&WaitRequest::default(), Some(Duration::from_millis(20))).await.unwrap_err();
    assert_eq!(error.code(), code::DEADLINE_EXCEEDED);
    client.connect_task(&connect("x"), None).await.unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn calls_in_flight_end_with_the_connection() {
    let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
    let client = Client::over(ours, "pair".into());
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.wait(&WaitRequest::default(), None).await }
    });
    tokio::task::yield_now().await;
    drop(theirs);
    assert!(waiting.await.unwrap().unwrap_err().is_closed());
    client.closed().await;
    assert!(client.connect_task(&connect("x"), None).await.unwrap_err().is_closed());
}
