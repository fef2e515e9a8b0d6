//! What containerd accepts as an identifier and as a label.

use std::collections::HashMap;

use crate::error::{Error, Result};

/// Longest identifier, in bytes.
const MAX_LENGTH: usize = 76;
/// Most bytes of a label's key and value together.
const MAX_LABEL: usize = 4096;

/// Checks `id` against `[A-Za-z0-9]+([._-][A-Za-z0-9]+)*`, at most 76 bytes.
///
/// # Errors
/// `InvalidArgument` with containerd's text.
pub fn validate(id: &str) -> Result<()> {
    if id.is_empty() {
        return Err(Error::invalid("identifier must not be empty"));
    }
    if id.len() > MAX_LENGTH {
        return Err(Error::invalid(format!("identifier {id:?} greater than maximum length ({MAX_LENGTH} characters)")));
    }
    let well_formed =
        id.split(['.', '_', '-']).all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if well_formed {
        Ok(())
    } else {
        Err(Error::invalid(format!("identifier {id:?} must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$")))
    }
}

/// Checks every label's length; `owner` begins the refusal, as `image.Labels`.
///
/// # Errors
/// `InvalidArgument` naming the label's key.
pub fn validate_labels(owner: &str, labels: &HashMap<String, String>) -> Result<()> {
    for (key, value) in labels {
        let total = key.len() + value.len();
        if total > MAX_LABEL {
            let shown: String = key.chars().take(64).collect();
            return Err(Error::invalid(format!(
                "{owner}: label key and value length ({total} bytes) greater than maximum size ({MAX_LABEL} bytes), key: {shown}"
            )));
        }
    }
    Ok(())
}

/// Lays `updates` over `labels`: an empty value deletes its key.
pub fn merge_labels(labels: &mut HashMap<String, String>, updates: &HashMap<String, String>) {
    for (key, value) in updates {
        if value.is_empty() {
            labels.remove(key);
        } else {
            labels.insert(key.clone(), value.clone());
        }
    }
}

/// Sets or (with an empty or absent value) deletes one label.
pub fn set_label(labels: &mut HashMap<String, String>, key: &str, updates: &HashMap<String, String>) {
    match updates.get(key).filter(|value| !value.is_empty()) {
        Some(value) => labels.insert(key.to_owned(), value.clone()),
        None => labels.remove(key),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_follow_containerd() {
        for good in ["a", "default", "k8s.io", "a-b_c.d", "0"] {
            assert!(validate(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "a..b", "-a", "a-", "a/b", "a b", "ä", &"x".repeat(77)] {
            assert!(validate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_empty_value_deletes_the_label() {
        let mut labels = HashMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        merge_labels(&mut labels, &HashMap::from([("a".to_owned(), String::new()), ("c".to_owned(), "3".to_owned())]));
        assert_eq!(labels, HashMap::from([("b".to_owned(), "2".to_owned()), ("c".to_owned(), "3".to_owned())]));
    }
}
