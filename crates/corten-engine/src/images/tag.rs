//! `POST /images/{name}/tag`.

use corten_types::Reference;

use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// Gives the image `wanted` the name `repo:tag`.
///
/// # Errors
/// 404 for an unknown image, 400 for a name that is none.
pub async fn tag(engine: &Engine, wanted: &str, repo: &str, tag: &str) -> Result<()> {
    engine.containerd.linked().await?;
    let name = name(repo, tag)?;
    let image = engine.catalog.resolve(wanted).await?;
    engine.catalog.tag(&image, &name).await?;
    super::announce(engine, "tag", image.details.id().as_str(), &name.familiar());
    Ok(())
}

/// Reads a repository and a tag; `latest` without one.
///
/// # Errors
/// 400 in docker's words.
pub fn name(repo: &str, tag: &str) -> Result<Reference> {
    let invalid = |error: corten_types::reference::ReferenceError| EngineError::invalid(error.to_string());
    let reference: Reference = repo.parse().map_err(invalid)?;
    if reference.digest().is_some() {
        return Err(EngineError::invalid("refusing to create a tag with a digest reference"));
    }
    match tag {
        "" => Ok(reference.or_latest()),
        tag => reference.with_tag(tag).map_err(invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_put_together_from_both_parts() {
        for (repo, tag, expected) in [
            ("busybox", "", "busybox:latest"),
            ("busybox", "1", "busybox:1"),
            ("localhost:5000/a", "b", "localhost:5000/a:b"),
            ("a:b", "", "a:b"),
        ] {
            assert_eq!(name(repo, tag).unwrap().familiar(), expected);
        }
        assert!(name("UPPER", "").is_err());
        assert!(name("a", "-x").is_err());
        let digest = format!("a@sha256:{}", "0".repeat(64));
        assert!(name(&digest, "").unwrap_err().message().contains("digest reference"));
    }
}
