//! What a transfer goes between.

use corten_proto::{
    any,
    containerd::types::transfer::{ImageExportStream, ImageImportStream, ImageStore, OciRegistry},
};
use prost::{Message, Name};
use prost_types::Any;

use crate::error::{Error, Result};

/// One end of a transfer.
#[derive(Debug)]
pub enum Place {
    /// A registry's repository.
    Registry(OciRegistry),
    /// Our records and stores.
    Store(ImageStore),
    /// An archive that the client sends.
    Import(ImageImportStream),
    /// An archive that the client takes.
    Export(ImageExportStream),
}

impl Place {
    /// Reads the `end` (source or destination) of a request.
    ///
    /// # Errors
    /// `InvalidArgument` without one, `Unimplemented` for a kind that is not known.
    pub fn read(end: &'static str, given: Option<Any>) -> Result<Self> {
        let given = given.ok_or_else(|| Error::invalid(format!("the transfer has no {end}")))?;
        if let Some(place) = decode(end, &given)? {
            return Ok(Self::Registry(place));
        }
        if let Some(place) = decode(end, &given)? {
            return Ok(Self::Store(place));
        }
        if let Some(place) = decode(end, &given)? {
            return Ok(Self::Import(place));
        }
        if let Some(place) = decode(end, &given)? {
            return Ok(Self::Export(place));
        }
        Err(Error::unimplemented(format!("transfer with a {} as its {end}", given.type_url)))
    }

    /// What it is called where a transfer between two kinds is refused.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Registry(_) => "a registry",
            Self::Store(_) => "the image store",
            Self::Import(_) => "an import stream",
            Self::Export(_) => "an export stream",
        }
    }
}

fn decode<M: Message + Name + Default>(end: &'static str, given: &Any) -> Result<Option<M>> {
    any::unpack(given).map_err(|error| Error::invalid(format!("{end} of the transfer: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_read_by_its_type() {
        let store = any::pack(&ImageStore { name: "a".into(), ..ImageStore::default() });
        assert!(matches!(Place::read("source", Some(store)), Ok(Place::Store(store)) if store.name == "a"));
        let error = Place::read("source", None).unwrap_err();
        assert_eq!(error.to_string(), "the transfer has no source: invalid argument");
        let odd = Any { type_url: "some.Thing".into(), value: Vec::new() };
        let error = Place::read("destination", Some(odd)).unwrap_err();
        assert_eq!(error.to_string(), "transfer with a some.Thing as its destination: not implemented");
    }
}
