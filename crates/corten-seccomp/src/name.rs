//! Names of system calls in a profile, each looked up as it is read: profiles name hundreds, and list them sorted.

use std::fmt;

use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use serde::{Deserializer, Serialize, Serializer};

use crate::table::{self, Call, Finder};

/// A name in a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// Of a call that some architecture has.
    Known(Call),
    /// Of another, which a rule does without.
    Unknown(Box<str>),
}

impl Name {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(call) => call.name(),
            Self::Unknown(name) => name,
        }
    }

    /// The call.
    #[must_use]
    pub const fn call(&self) -> Option<Call> {
        match self {
            Self::Known(call) => Some(*call),
            Self::Unknown(_) => None,
        }
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        table::find(name).map_or_else(|| Self::Unknown(name.into()), Self::Known)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

/// A list of names, or null for none.
pub(crate) fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Name>, D::Error> {
    from.deserialize_option(List)
}

struct List;

impl<'de> Visitor<'de> for List {
    type Value = Vec<Name>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a sequence")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
        let (mut finder, mut names) = (Finder::default(), Vec::new());
        while let Some(name) = from.next_element_seed(Next(&mut finder))? {
            names.push(name);
        }
        Ok(names)
    }
}

/// The next name of a list.
struct Next<'f>(&'f mut Finder);

impl<'de> DeserializeSeed<'de> for Next<'_> {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Name, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Next<'_> {
    type Value = Name;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a string")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(self.0.find(name).map_or_else(|| Name::Unknown(name.into()), Name::Known))
    }
}
