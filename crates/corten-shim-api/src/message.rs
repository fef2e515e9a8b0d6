//! The two messages of ttrpc, written by hand: they are the protocol's own and never change.

use corten_proto::google::rpc::Status;

/// A call.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Request {
    /// Full name of the service, `containerd.task.v2.Task`.
    #[prost(string, tag = "1")]
    pub service: String,
    /// Name of the method, `Create`.
    #[prost(string, tag = "2")]
    pub method: String,
    /// The encoded request message.
    #[prost(bytes = "vec", tag = "3")]
    pub payload: Vec<u8>,
    /// Time the caller waits for the answer; 0 is for ever.
    #[prost(int64, tag = "4")]
    pub timeout_nano: i64,
    /// Headers, keys in lower case.
    #[prost(message, repeated, tag = "5")]
    pub metadata: Vec<KeyValue>,
}

/// The answer of a call.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Response {
    /// Absent or code 0 on success. Our extra fields and unknown details are kept as they came.
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    /// The encoded answer message.
    #[prost(bytes = "vec", tag = "2")]
    pub payload: Vec<u8>,
}

/// One header of a call.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct KeyValue {
    /// The key, in lower case.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// Metadata key of the containerd namespace over ttrpc.
pub const NAMESPACE: &str = "containerd-namespace-ttrpc";
/// Metadata key of the W3C trace context.
pub const TRACEPARENT: &str = "traceparent";

/// The value of `key` in `metadata`; the last one counts, as in Go's `MD.Get` users.
pub fn header<'a>(metadata: &'a [KeyValue], key: &str) -> Option<&'a str> {
    metadata.iter().rev().find(|pair| pair.key.eq_ignore_ascii_case(key)).map(|pair| pair.value.as_str())
}
