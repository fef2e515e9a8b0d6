//! Containers: records of what would run. Whether something runs is the tasks' matter.

mod records;
mod service;

pub use records::get;
pub use service::ContainersService;
