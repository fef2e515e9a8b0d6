//! containerd's filters: which records a List answers, which events a subscriber gets.
//!
//! ```text
//! selectors := selector ("," selector)*            all must hold; several filters: any may
//! selector  := field ("." field)* (operator value)?
//! operator  := "==" | "!=" | "~="                  none: the field is present
//! field     := quoted | [A-Za-z0-9_]+
//! value     := quoted | [^\s,]+                    after ~= also /…/ and |…| quote
//! ```
//! Regular expressions are RE2's, which the `regex` crate speaks.

mod parse;

use std::{borrow::Cow, collections::HashMap};

use regex::Regex;

use crate::error::{Error, Result};

/// Any of several filters; none at all accepts everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    alternatives: Vec<Vec<Selector>>,
}

#[derive(Debug, Clone)]
struct Selector {
    path: Vec<String>,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Present,
    Equal(String),
    NotEqual(String),
    /// `None`: the expression does not compile, so nothing matches it (containerd answers no error).
    Matches(Option<Regex>),
}

/// Something a filter can look into.
pub trait Fields {
    /// The value at `path`; `None` when the record has no such field.
    fn field(&self, path: &[&str]) -> Option<Cow<'_, str>>;
}

impl Filter {
    /// Parses every filter of a request.
    ///
    /// # Errors
    /// `InvalidArgument` showing where parsing stopped.
    pub fn parse(filters: &[String]) -> Result<Self> {
        let alternatives = filters
            .iter()
            .map(|text| parse::selectors(text).map_err(|error| Error::invalid(format!("filters: {error}"))))
            .collect::<Result<_>>()?;
        Ok(Self { alternatives })
    }

    /// Whether `record` passes.
    pub fn accepts(&self, record: &impl Fields) -> bool {
        self.alternatives.is_empty() || self.alternatives.iter().any(|all| all.iter().all(|one| one.holds(record)))
    }
}

impl Selector {
    fn holds(&self, record: &impl Fields) -> bool {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let value = record.field(&path);
        match &self.test {
            Test::Present => value.is_some(),
            Test::Equal(wanted) => value.is_some_and(|value| value == wanted.as_str()),
            Test::NotEqual(unwanted) => value.is_none_or(|value| value != unwanted.as_str()),
            Test::Matches(expression) => {
                expression.as_ref().is_some_and(|expression| expression.is_match(value.as_deref().unwrap_or("")))
            }
        }
    }
}

/// `text` as a field that is absent when empty.
pub fn non_empty(text: &str) -> Option<Cow<'_, str>> {
    (!text.is_empty()).then_some(Cow::Borrowed(text))
}

/// The label that the rest of a path names; its dots belong to the key.
pub fn label<'a>(labels: &'a HashMap<String, String>, path: &[&str]) -> Option<Cow<'a, str>> {
    labels.get(&path.join(".")).map(|value| Cow::Borrowed(value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Image;

    impl Fields for Image {
        fn field(&self, path: &[&str]) -> Option<Cow<'_, str>> {
            match path {
                ["name"] => Some("docker.io/library/busybox:latest".into()),
                ["target", "digest"] => Some("sha256:aa".into()),
                ["labels", rest @ ..] => match rest.join(".").as_str() {
                    "env" => Some("prod".into()),
                    "a.b/c" => Some("1".into()),
                    _ => None,
                },
                _ => None,
            }
        }
    }

    fn check(filters: &[&str], expected: bool) {
        let filters: Vec<String> = filters.iter().map(|&text| text.to_owned()).collect();
        assert_eq!(Filter::parse(&filters).unwrap().accepts(&Image), expected, "{filters:?}");
    }

    #[test]
    fn selectors_hold_as_in_containerd() {
        check(&[], true);
        check(&[""], true);
        check(&["name==docker.io/library/busybox:latest"], true);
        check(&["name!=docker.io/library/busybox:latest"], false);
        check(&["name~=busybox"], true);
        check(&["name~=|^docker\\\\.io/|"], true);
        check(&["name~=/^docker/"], true);
        check(&["name~=\"^nope\""], false);
        check(&["name~=("], false);
        check(&["labels.env"], true);
        check(&["labels.nope"], false);
        check(&["labels.nope!=x"], true);
        check(&["labels.nope==x"], false);
        check(&["labels.nope~=^$"], true);
        check(&["labels.\"a.b/c\"==1"], true);
        check(&["labels.env==prod,name~=busybox"], true);
        check(&["labels.env==dev,name~=busybox"], false);
        check(&["labels.env==dev", "name~=busybox"], true);
        check(&["target.digest==sha256:aa"], true);
        check(&["name == \"docker.io/library/busybox:latest\""], true);
    }

    #[test]
    fn what_does_not_parse_is_refused_with_its_place() {
        for bad in ["name==", "name=x", "==x", "name==\"x", "name==/x/", "name==x,", "labels.", "name==\"\\q\"", "a b"]
        {
            let error = Filter::parse(&[bad.to_owned()]).unwrap_err().to_string();
            assert!(error.starts_with("filters: parse error: ["), "{bad}: {error}");
            assert!(error.ends_with(": invalid argument"), "{bad}: {error}");
        }
    }
}
