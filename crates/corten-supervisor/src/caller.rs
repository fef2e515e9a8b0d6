//! Who asks: the namespace and the lease that a request's metadata name.

use tonic::Request;

use crate::{
    error::{Error, Result},
    identifier,
};

/// Metadata key of the namespace.
pub const NAMESPACE: &str = "containerd-namespace";
/// Metadata key of the lease.
pub const LEASE: &str = "containerd-lease";

/// The namespace a request acts in, and the lease that what it creates joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Namespace, a valid identifier.
    pub namespace: String,
    /// Lease, when the request carries one.
    pub lease: Option<String>,
}

impl Caller {
    /// The request that asks for `message` on this caller's behalf, from within the process.
    pub fn asks<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.extensions_mut().insert(self.clone());
        request
    }

    /// Reads the caller from a request's metadata; one from [`Caller::asks`] carries it.
    ///
    /// # Errors
    /// `FailedPrecondition` without a namespace, `InvalidArgument` when it is not an identifier.
    pub fn of<T>(request: &Request<T>) -> Result<Self> {
        if let Some(caller) = request.extensions().get::<Self>() {
            return Ok(caller.clone());
        }
        let text =
            |key| request.metadata().get(key).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
        let namespace = text(NAMESPACE).ok_or_else(|| Error::precondition("namespace is required"))?;
        identifier::validate(namespace).map_err(|error| error.within("namespace validation"))?;
        Ok(Self { namespace: namespace.to_owned(), lease: text(LEASE).map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_namespace_is_refused_in_containerds_words() {
        let error = Caller::of(&Request::new(())).unwrap_err();
        assert_eq!(error.to_string(), "namespace is required: failed precondition");
    }
}
