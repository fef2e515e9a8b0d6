//! Planted faults: which requests they meet, how often, and what happens instead of the truth.

use std::collections::BTreeMap;

use super::log::Logged;

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Effect {
    /// This status with these headers and this body.
    Status(u16, BTreeMap<String, String>, Vec<u8>),
    /// The connection breaks after so many bytes of the body.
    Cut(u64),
    /// So many bytes of the body, and the rest when [`release`](super::TestRegistry::release) is called.
    Hold(u64),
    /// As many bytes, but others.
    WrongBytes,
    /// So many bytes more than there should be, or fewer.
    WrongSize(i64),
    /// 307 to this address with the same path.
    Redirect(String),
    /// One byte a second.
    Slow,
    /// A `Range` is passed over: 200 and everything.
    NoRange,
    /// Another body, and another type where one is given.
    Body(Vec<u8>, Option<String>),
    /// The answer's header of that name is left out.
    WithoutHeader(String),
}

/// An effect on some requests.
#[derive(Debug, Clone)]
pub struct Fault {
    method: Option<String>,
    part: String,
    /// What the request's body has to be larger than.
    larger_than: u64,
    /// Requests that are still to be met; none for all.
    left: Option<usize>,
    effect: Effect,
}

impl Fault {
    /// `effect` on every request whose path holds `part`.
    #[must_use]
    pub fn new(part: &str, effect: Effect) -> Fault {
        Fault { method: None, part: part.to_owned(), larger_than: 0, left: None, effect }
    }

    /// The first request for `part` breaks off after `count` bytes.
    #[must_use]
    pub fn cut(part: &str, count: u64) -> Fault {
        Fault::new(part, Effect::Cut(count)).on("GET").times(1)
    }

    /// `status` with an error of that `code` in the body.
    #[must_use]
    pub fn status(part: &str, status: u16, code: &str) -> Fault {
        let body = serde_json::json!({"errors": [{"code": code, "message": format!("planted {code}")}]});
        Fault::new(part, Effect::Status(status, BTreeMap::new(), body.to_string().into_bytes()))
    }

    /// Only requests of this method.
    #[must_use]
    pub fn on(mut self, method: &str) -> Fault {
        self.method = Some(method.to_owned());
        self
    }

    /// Only requests that say that their body is larger than `bytes`.
    #[must_use]
    pub fn over(mut self, bytes: u64) -> Fault {
        self.larger_than = bytes;
        self
    }

    /// Only the next `count` requests.
    #[must_use]
    pub fn times(mut self, count: usize) -> Fault {
        self.left = Some(count);
        self
    }

    /// A header of a planted status.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Fault {
        if let Effect::Status(_, headers, _) = &mut self.effect {
            headers.insert(name.to_owned(), value.to_owned());
        }
        self
    }

    fn meets(&self, request: &Logged) -> bool {
        let method = self.method.as_ref().is_none_or(|method| *method == request.method);
        let size = self.larger_than == 0 || request.content_length.is_some_and(|length| length > self.larger_than);
        method && size && self.left != Some(0) && request.path.contains(&self.part)
    }
}

/// The effects of all faults that meet `request`, which uses one of each up.
pub(super) fn effects(faults: &mut [Fault], request: &Logged) -> Vec<Effect> {
    let mut found = Vec::new();
    for fault in faults.iter_mut().filter(|fault| fault.meets(request)) {
        fault.left = fault.left.map(|left| left - 1);
        found.push(fault.effect.clone());
    }
    found
}
