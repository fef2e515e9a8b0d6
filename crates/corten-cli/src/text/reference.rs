//! Image references as listings show them.

use corten_types::Reference;

/// The reference as people write it, without its digest; what is no reference stays.
pub fn without_digest(text: &str) -> String {
    match text.parse::<Reference>() {
        Ok(reference) => match reference.tag() {
            Some(tag) => format!("{}:{tag}", reference.familiar_name()),
            None => reference.familiar_name(),
        },
        Err(_) => text.to_owned(),
    }
}
