//! Standard input of `start` and `-info`.
//!
//! containerd 1.6 to 2.2 write nothing or one `google.protobuf.Any` with the runtime's options, 2.3
//! writes `BootstrapParams`. Both begin with a string in field 1, so the newer form is believed only
//! when it repeats the id and the namespace of the command line.

use corten_proto::{
    any,
    containerd::{runc::v1::Options, runtime::bootstrap::v1::BootstrapParams},
};
use prost::Message;
use prost_types::Any;

/// Bytes of standard input that are read; options are a few hundred.
pub const MAX_INPUT_BYTES: usize = 4 << 20;

/// What came on standard input.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StartInput {
    /// The options of the runtime.
    pub options: Option<Any>,
    /// The whole message of containerd 2.3 and later.
    pub bootstrap: Option<BootstrapParams>,
}

impl StartInput {
    /// Reads `bytes` for the container `id` of `namespace`.
    ///
    /// # Errors
    /// The decoder's error when it is neither of the two forms.
    pub fn parse(bytes: &[u8], id: &str, namespace: &str) -> Result<Self, prost::DecodeError> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        if let Ok(bootstrap) = BootstrapParams::decode(bytes)
            && bootstrap.instance_id == id
            && bootstrap.namespace == namespace
        {
            let options = bootstrap.extensions.iter().find_map(|extension| {
                extension.value.clone().filter(|value| any::is(value, "containerd.runc.v1.Options"))
            });
            return Ok(Self { options, bootstrap: Some(bootstrap) });
        }
        let options = Any::decode(bytes)?;
        Ok(Self { options: Some(options).filter(|options| !options.type_url.is_empty()), bootstrap: None })
    }

    /// The runc options in it; `None` when there are none, or those of another runtime.
    ///
    /// # Errors
    /// The decoder's error when they are broken.
    pub fn runc_options(&self) -> Result<Option<Options>, prost::DecodeError> {
        self.options.as_ref().map_or(Ok(None), any::unpack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_proto::containerd::runtime::bootstrap::v1::Extension;

    fn options() -> Options {
        Options { binary_name: "/usr/bin/runc".into(), root: "/run/x".into(), ..Options::default() }
    }

    #[test]
    fn nothing_is_no_options() {
        assert_eq!(StartInput::parse(b"", "x", "n").unwrap(), StartInput::default());
    }

    #[test]
    fn options_alone_are_the_older_form() {
        let bytes = any::pack(&options()).encode_to_vec();
        let input = StartInput::parse(&bytes, "x", "n").unwrap();
        assert!(input.bootstrap.is_none());
        assert_eq!(input.runc_options().unwrap(), Some(options()));
    }

    #[test]
    fn bootstrap_params_of_this_container_are_the_newer_form() {
        let bootstrap = BootstrapParams {
            instance_id: "x".into(),
            namespace: "n".into(),
            extensions: vec![Extension { value: Some(any::pack(&options())) }],
            ..BootstrapParams::default()
        };
        let input = StartInput::parse(&bootstrap.encode_to_vec(), "x", "n").unwrap();
        assert!(input.bootstrap.is_some());
        assert_eq!(input.runc_options().unwrap(), Some(options()));
    }

    #[test]
    fn neither_form_is_an_error() {
        assert!(StartInput::parse(b"\xff\xff\xff", "x", "n").is_err());
    }
}
