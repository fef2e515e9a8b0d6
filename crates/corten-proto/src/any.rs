//! `google.protobuf.Any` as containerd's typeurl writes it: the bare full name, without
//! `type.googleapis.com/`; both forms are accepted when reading. OCI types travel as JSON under
//! `types.containerd.io/opencontainers/runtime-spec/1/…`.

use prost::{Message, Name};
use prost_types::Any;

/// Type URL of an OCI runtime specification, as JSON.
pub const SPEC: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
/// Type URL of an OCI process (an exec), as JSON.
pub const PROCESS: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";
/// Type URL of OCI Linux resources (an update), as JSON.
pub const LINUX_RESOURCES: &str = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";

/// Packs `message` under its bare full name.
pub fn pack<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::full_name(), value: message.encode_to_vec() }
}

/// Packs a JSON document under `type_url`.
pub fn pack_json(type_url: &str, json: Vec<u8>) -> Any {
    Any { type_url: type_url.to_owned(), value: json }
}

/// Whether `any` carries the type of full name `name`, with or without a URL prefix.
pub fn is(any: &Any, name: &str) -> bool {
    any.type_url == name || any.type_url.strip_suffix(name).is_some_and(|prefix| prefix.ends_with('/'))
}

/// Unpacks `any` when it carries an `M`; `None` when it carries something else.
///
/// # Errors
/// The decoder's error when the bytes are not an `M`.
pub fn unpack<M: Message + Name + Default>(any: &Any) -> Result<Option<M>, prost::DecodeError> {
    if is(any, &M::full_name()) { M::decode(any.value.as_slice()).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containerd::runc::v1::Options;

    #[test]
    fn packs_under_the_bare_name_and_reads_both_forms() {
        let options = Options { binary_name: "runc".into(), ..Options::default() };
        let mut any = pack(&options);
        assert_eq!(any.type_url, "containerd.runc.v1.Options");
        any.type_url = format!("type.googleapis.com/{}", any.type_url);
        assert_eq!(unpack::<Options>(&any), Ok(Some(options)));
    }

    #[test]
    fn another_type_is_none() {
        let any = pack_json(SPEC, b"{}".to_vec());
        assert_eq!(unpack::<Options>(&any), Ok(None));
    }
}
