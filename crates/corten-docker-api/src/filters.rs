//! The `filters` parameter of lists, prunes and events.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// Which values each filter asks for. Values of one key are alternatives, keys must all match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, BTreeSet<String>>);

/// Why a `filters` parameter is refused; the texts are dockerd's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FilterError {
    /// Not JSON of either form.
    #[error("invalid filter")]
    Malformed,
    /// A key the endpoint does not know.
    #[error("invalid filter '{0}'")]
    UnknownKey(String),
    /// A value that the key cannot take.
    #[error("invalid filter '{key}={value}'")]
    BadValue {
        /// The filter.
        key: String,
        /// What was asked.
        value: String,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    /// What the Go client sends: `{"v":true}`. An entry set to false still counts, as in dockerd.
    Map(BTreeMap<String, bool>),
    /// What older clients send: `["v"]`.
    List(Vec<String>),
}

impl Filters {
    /// Reads the parameter; an absent or empty one asks for everything.
    ///
    /// # Errors
    /// [`FilterError::Malformed`].
    pub fn decode(parameter: &str) -> Result<Self, FilterError> {
        if parameter.is_empty() {
            return Ok(Self::default());
        }
        let parsed: Option<BTreeMap<String, Values>> =
            serde_json::from_str(parameter).map_err(|_| FilterError::Malformed)?;
        let keys = parsed.unwrap_or_default().into_iter().map(|(key, values)| match values {
            Values::Map(map) => (key, map.into_keys().collect()),
            Values::List(list) => (key, list.into_iter().collect()),
        });
        Ok(Self(keys.collect()))
    }

    /// The parameter's text in the form every server reads.
    pub fn encode(&self) -> String {
        let maps: BTreeMap<&String, BTreeMap<&String, bool>> =
            self.0.iter().map(|(key, values)| (key, values.iter().map(|value| (value, true)).collect())).collect();
        serde_json::to_string(&maps).unwrap_or_default()
    }

    /// Adds an alternative to a key.
    pub fn add(&mut self, key: &str, value: &str) {
        self.0.entry(key.to_owned()).or_default().insert(value.to_owned());
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values asked of `key`; none when the key is absent.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flatten().map(String::as_str)
    }

    /// Whether `key` is asked for at all.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Whether `key` is absent, or one of its values satisfies `matches`.
    pub fn any(&self, key: &str, matches: impl FnMut(&str) -> bool) -> bool {
        self.0.get(key).is_none_or(|values| values.is_empty() || values.iter().map(String::as_str).any(matches))
    }

    /// Whether every value of `key` satisfies `matches`, as labels must.
    pub fn all(&self, key: &str, matches: impl FnMut(&str) -> bool) -> bool {
        self.values(key).all(matches)
    }

    /// A boolean filter such as `dangling`.
    ///
    /// # Errors
    /// [`FilterError::BadValue`] when it is neither true nor false, or both.
    pub fn boolean(&self, key: &str, default: bool) -> Result<bool, FilterError> {
        let Some(values) = self.0.get(key) else {
            return Ok(default);
        };
        let yes = values.iter().any(|value| value == "1" || value == "true");
        let no = values.iter().any(|value| value == "0" || value == "false");
        match (yes, no) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            _ => Err(FilterError::BadValue {
                key: key.to_owned(),
                value: values.iter().cloned().collect::<Vec<_>>().join(" "),
            }),
        }
    }

    /// Refuses keys the endpoint does not know: `docker ps --filter oops=1` is a mistake.
    ///
    /// # Errors
    /// [`FilterError::UnknownKey`] with the first one.
    pub fn allow(&self, known: &[&str]) -> Result<(), FilterError> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(FilterError::UnknownKey(key.clone())),
            None => Ok(()),
        }
    }

    /// Whether labels satisfy the `label` and `label!` filters: `key` or `key=value`.
    pub fn match_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |wanted: &str| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|label| label == value),
            None => labels.contains_key(wanted),
        };
        self.all("label", has) && !self.values("label!").any(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let go = Filters::decode(r#"{"label":{"a=b":true},"status":{"exited":true}}"#).unwrap();
        let old = Filters::decode(r#"{"label":["a=b"],"status":["exited"]}"#).unwrap();
        assert_eq!(go, old);
        assert_eq!(Filters::decode(&go.encode()).unwrap(), go);
        assert_eq!(Filters::decode("null").unwrap(), Filters::default());
        assert_eq!(Filters::decode("[1]").unwrap_err().to_string(), "invalid filter");
        assert_eq!(go.allow(&["label"]).unwrap_err().to_string(), "invalid filter 'status'");
    }

    #[test]
    fn labels_must_all_match() {
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let check = |text: &str| Filters::decode(text).unwrap().match_labels(&labels);
        assert!(check(r#"{"label":["a","a=b"]}"#));
        assert!(!check(r#"{"label":["a","a=c"]}"#));
        assert!(!check(r#"{"label!":["a"]}"#));
        assert!(check(r#"{"label!":["c"]}"#));
    }
}
