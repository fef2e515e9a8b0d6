//! What `start` and `delete` print, and the address left in the bundle.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use corten_proto::containerd::{runtime::bootstrap::v1::BootstrapResult, task::v2::DeleteResponse};
use prost::Message;
use serde::{Deserialize, Serialize};

/// The newest start-up protocol a driver accepts (containerd 2.0 to 2.3).
const MAX_VERSION: i32 = 3;

/// Where a shim's daemon listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// 2: task service v2; 3: v3 is served as well.
    pub version: i32,
    /// `unix://` and a path.
    pub address: String,
    /// `ttrpc`; containerd knows `grpc` too.
    pub protocol: String,
}

/// A `start` that told no usable address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Nothing was printed.
    #[error("the shim printed no address")]
    Empty,
    /// None of the three forms.
    #[error("the shim printed no address but {0:?}")]
    Unreadable(String),
    /// A version from the future.
    #[error("the shim speaks start-up version {0}, newer than {MAX_VERSION}")]
    Version(i32),
    /// A protocol nobody speaks here.
    #[error("the shim serves {0:?}, not ttrpc")]
    Protocol(String),
}

impl Address {
    /// Task service v2 over ttrpc at `path`.
    pub fn ttrpc(path: &Path) -> Self {
        Self { version: 2, address: format!("unix://{}", path.display()), protocol: "ttrpc".to_owned() }
    }

    /// The socket's path, without the scheme.
    pub fn path(&self) -> PathBuf {
        crate::socket::strip_scheme(Path::new(&self.address))
    }

    fn check(self) -> Result<Self, AnswerError> {
        if self.version > MAX_VERSION {
            return Err(AnswerError::Version(self.version));
        }
        if self.protocol != "ttrpc" {
            return Err(AnswerError::Protocol(self.protocol));
        }
        Ok(self)
    }
}

/// Reads what `start` printed: the bare address, JSON, or (containerd 2.3) protobuf.
///
/// # Errors
/// [`AnswerError`]; the caller adds which shim.
pub fn parse_answer(output: &[u8]) -> Result<Address, AnswerError> {
    let text = std::str::from_utf8(output).map(str::trim).unwrap_or_default();
    if output.is_empty() || (text.is_empty() && output.iter().all(u8::is_ascii_whitespace)) {
        return Err(AnswerError::Empty);
    }
    if text.starts_with('{') {
        let address: Address = serde_json::from_str(text).map_err(|_| AnswerError::Unreadable(text.to_owned()))?;
        return address.check();
    }
    if text.starts_with("unix://") || text.starts_with('/') {
        return Address { version: 2, address: text.to_owned(), protocol: "ttrpc".to_owned() }.check();
    }
    match BootstrapResult::decode(output) {
        Ok(BootstrapResult { version, address, protocol, .. }) if !address.is_empty() => {
            Address { version, address, protocol }.check()
        }
        _ => Err(AnswerError::Unreadable(String::from_utf8_lossy(output).trim().to_owned())),
    }
}

/// Reads what `delete` printed.
///
/// # Errors
/// The decoder's error.
pub fn parse_delete_answer(output: &[u8]) -> Result<DeleteResponse, prost::DecodeError> {
    DeleteResponse::decode(output)
}

/// The address in `bundle`, for taking over the shims of an earlier life: `bootstrap.json` of
/// containerd 2.x, else `address`.
///
/// # Errors
/// Those of reading; `InvalidData` when what is there is no address.
pub fn read_address(bundle: &Path) -> io::Result<Address> {
    let output = match fs::read(bundle.join("bootstrap.json")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::read(bundle.join("address"))?,
        other => other?,
    };
    parse_answer(&output).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_say_the_same() {
        let expected = Address::ttrpc(Path::new("/run/containerd/s/abc"));
        let protobuf = BootstrapResult {
            version: 2,
            address: expected.address.clone(),
            protocol: "ttrpc".into(),
            ..BootstrapResult::default()
        };
        assert_eq!(parse_answer(b"unix:///run/containerd/s/abc\n").unwrap(), expected);
        let json = br#"{"version":2,"address":"unix:///run/containerd/s/abc","protocol":"ttrpc"}"#;
        assert_eq!(parse_answer(json).unwrap(), expected);
        assert_eq!(parse_answer(&protobuf.encode_to_vec()).unwrap(), expected);
        assert_eq!(expected.path(), Path::new("/run/containerd/s/abc"));
    }

    #[test]
    fn other_answers_are_refused() {
        let cases: [(&[u8], &str); 5] = [
            (b"", "the shim printed no address"),
            (b" \n", "the shim printed no address"),
            (b"panic: boom", "the shim printed no address but \"panic: boom\""),
            (
                br#"{"version":4,"address":"unix:///x","protocol":"ttrpc"}"#,
                "the shim speaks start-up version 4, newer than 3",
            ),
            (br#"{"version":3,"address":"unix:///x","protocol":"grpc"}"#, "the shim serves \"grpc\", not ttrpc"),
        ];
        for (output, text) in cases {
            assert_eq!(parse_answer(output).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn the_address_of_a_bundle_is_found_in_either_file() {
        let bundle = tempfile::tempdir().unwrap();
        assert_eq!(read_address(bundle.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::write(bundle.path().join("address"), "unix:///old").unwrap();
        assert_eq!(read_address(bundle.path()).unwrap().address, "unix:///old");
        let json = r#"{"version":3,"address":"unix:///new","protocol":"ttrpc"}"#;
        fs::write(bundle.path().join("bootstrap.json"), json).unwrap();
        assert_eq!(read_address(bundle.path()).unwrap().address, "unix:///new");
    }
}
