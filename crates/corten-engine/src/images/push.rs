//! `POST /images/{name}/push`.

use std::sync::Arc;

use corten_docker_api::images::Progress;
use corten_images::Platform;
use corten_images::media_type::is_index;
use corten_proto::containerd::types::Descriptor;
use corten_types::Reference;
use serde_json::{Value, json};

use super::lines::{Job, Lines};
use super::phrases;
use super::pull::dockers_sentence;
use crate::containerd::registry::Transfer;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::registry::credentials::Credentials;

/// How an error begins that says what of an image is not here.
const ABSENT: &str = "content digest ";

/// What is to be pushed.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// With a tag, or every tag of it that is here.
    pub reference: Reference,
    /// Of an image for several platforms only this one; without, all or the only one that is here.
    pub platform: Option<Platform>,
    /// Who asks.
    pub credentials: Credentials,
}

/// Reads what a client wants.
///
/// # Errors
/// 400 for a name or tag that cannot be used.
pub fn decode(name: &str, tag: &str, platform: Option<Platform>, auth: &str) -> Result<Wanted> {
    let invalid = |error: corten_types::reference::ReferenceError| EngineError::invalid(error.to_string());
    let named: Reference = name.parse().map_err(invalid)?;
    if named.digest().is_some() {
        return Err(EngineError::invalid("cannot push a digest reference"));
    }
    let reference = if tag.is_empty() { named } else { named.with_tag(tag).map_err(invalid)? };
    Ok(Wanted { reference, platform, credentials: Credentials::decode(auth) })
}

/// Pushes; what fails on the way is a line, as it is for dockerd.
pub fn push(engine: &Arc<Engine>, wanted: Wanted) -> Arc<Job> {
    let engine = engine.clone();
    Job::start(|lines| async move {
        engine.containerd.linked().await?;
        lines.status("", format!("The push refers to repository [{}]", wanted.reference.name()));
        if wanted.reference.tag().is_some() {
            return one(&engine, &wanted, &wanted.reference, &lines).await;
        }
        let all = tags(&engine, &wanted.reference).await?;
        if all.is_empty() {
            let name = wanted.reference.familiar_name();
            return Err(EngineError::not_found(format!("An image does not exist locally with the tag: {name}")));
        }
        for reference in all {
            one(&engine, &wanted, &reference, &lines).await?;
        }
        Ok(())
    })
}

/// The references of this repository that images here have.
async fn tags(engine: &Engine, repository: &Reference) -> Result<Vec<Reference>> {
    use corten_containerd_api::ImageStore as _;
    let records = engine.catalog.store().list_images().await?;
    let parsed = records.into_iter().filter_map(|record| record.name.parse::<Reference>().ok());
    Ok(parsed.filter(|one| one.name() == repository.name() && one.tag().is_some()).collect())
}

async fn one(engine: &Engine, wanted: &Wanted, reference: &Reference, lines: &Lines) -> Result<()> {
    let transfer = Transfer {
        containerd: &engine.containerd,
        reference,
        settings: engine.registries.load().to_settings(),
        credentials: &wanted.credentials,
        owner: &engine.id,
    };
    let (mut wanted_target, mut pushed) = (None, None);
    let result = transfer.push(wanted.platform.clone(), |progress| {
        if let Some(line) = phrases::pushed(&progress) {
            lines.show(line);
        }
        match progress.event.as_str() {
            "pushing content" => wanted_target = progress.desc,
            "pushed content" => pushed = progress.desc,
            _ => {}
        }
    });
    let result = result.await;
    if let (Err(error), Some(target)) = (&result, &wanted_target)
        && error.is_not_found()
        && error.message().starts_with(ABSENT)
    {
        lines.show(result_of(json!({"contentMissing": true, "desc": shown(target)})));
    }
    result.map_err(|error| match error.registry() {
        Some(answer)
            if matches!(answer.code.as_str(), "DENIED" | "UNAUTHORIZED") && !wanted.credentials.is_anonymous() =>
        {
            EngineError::internal(answer.text.clone())
        }
        Some(answer) => dockers_sentence(answer, reference, &wanted.credentials),
        None => error.into(),
    })?;
    if wanted.platform.is_none() {
        tell_instead(wanted_target.as_ref(), pushed.as_ref(), lines);
    }
    if let (Some(target), Some(tag)) = (pushed, reference.tag()) {
        lines.status("", format!("{tag}: digest: {} size: {}", target.digest, target.size));
        let aux = json!({"Tag": tag, "Digest": target.digest, "Size": target.size});
        let progress_detail = Some(Default::default());
        lines.show(Progress { progress_detail, ..result_of(aux) });
    }
    super::announce(engine, "push", &reference.familiar(), &reference.familiar_name());
    Ok(())
}

/// Tells programs that an index was not whole, and what went instead of it.
fn tell_instead(wanted: Option<&Descriptor>, pushed: Option<&Descriptor>, lines: &Lines) {
    if let (Some(index), Some(manifest)) = (wanted, pushed)
        && is_index(&index.media_type)
        && !is_index(&manifest.media_type)
    {
        lines.show(result_of(json!({
            "manifestPushedInsteadOfIndex": true,
            "originalIndex": shown(index),
            "selectedManifest": shown(manifest),
        })));
    }
}

/// A line for programs: a result.
fn result_of(aux: Value) -> Progress {
    Progress { aux: Some(aux), ..Progress::default() }
}

/// A descriptor as results show it.
fn shown(target: &Descriptor) -> Value {
    json!({"mediaType": target.media_type, "digest": target.digest, "size": target.size})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_put_to_the_name_and_a_digest_is_refused() {
        assert_eq!(decode("a/b", "1", None, "").unwrap().reference.familiar(), "a/b:1");
        assert_eq!(decode("localhost:5000/a", "", None, "").unwrap().reference.tag(), None);
        let digest = format!("a@sha256:{}", "0".repeat(64));
        assert_eq!(decode(&digest, "", None, "").unwrap_err().message(), "cannot push a digest reference");
    }
}
