//! Images: names that point at content.

mod records;
mod service;

pub use service::ImagesService;
