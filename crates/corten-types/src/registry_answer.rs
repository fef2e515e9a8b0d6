//! How a registry refused, on its way from whoever asked it to whoever words the sentence.

/// A registry's refusal (distribution-spec, "Error Codes").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryAnswer {
    /// Who answered: `registry-1.docker.io`.
    pub host: String,
    /// The HTTP status.
    pub status: u16,
    /// The first error's code, `MANIFEST_UNKNOWN`; empty when it gave none.
    pub code: String,
    /// Code and text as docker prints them: `manifest unknown: manifest unknown`.
    pub text: String,
}
