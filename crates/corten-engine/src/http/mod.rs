//! HTTP as Docker's clients speak it: one connection, one version gate, one shape of answer.

pub mod answer;
pub mod gone;
pub mod query;
pub mod request;
pub mod server;
pub mod version;

pub use answer::Answer;
pub use query::Query;
pub use request::Request;
