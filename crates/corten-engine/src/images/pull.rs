//! `POST /images/create?fromImage=`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use corten_images::Platform;
use corten_types::{Digest, ErrorKind, Reference, RegistryAnswer};

use super::layers::Layers;
use super::lines::{Job, Lines};
use crate::containerd::registry::Transfer;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::http::Query;
use crate::registry::asked;
use crate::registry::credentials::Credentials;

/// What is to be pulled.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// With tag or digest, or every tag of it.
    pub reference: Reference,
    /// Whether every tag is wanted.
    pub all_tags: bool,
    /// For which platform; this machine's when none is named.
    pub platform: Option<Platform>,
    /// Who asks.
    pub credentials: Credentials,
}

/// Pulls under way, by what and for whom.
#[derive(Debug, Default)]
pub struct Pulls(Mutex<HashMap<String, (Credentials, Weak<Job>)>>);

/// Reads what a client wants.
///
/// # Errors
/// 400 for a name, tag or platform that cannot be used; 403 for `scratch`.
pub fn decode(query: &Query, auth: &str) -> Result<Wanted> {
    let invalid = |error: corten_types::reference::ReferenceError| EngineError::invalid(error.to_string());
    // `pull -a` may send a name with a colon at its end.
    let image = query.get("fromImage");
    let named: Reference = image.strip_suffix(':').unwrap_or(image).parse().map_err(invalid)?;
    let tag = query.get("tag");
    let reference = match tag.parse::<Digest>() {
        _ if tag.is_empty() => named,
        Ok(digest) => named.with_digest(digest),
        Err(_) => named.with_tag(tag).map_err(invalid)?,
    };
    if reference.familiar_name() == "scratch" {
        return Err(EngineError::new(ErrorKind::PermissionDenied, "'scratch' is a reserved name"));
    }
    let platform = match query.get("platform") {
        "" => None,
        text => Some(
            text.parse()
                .map_err(|error: corten_images::platform::InvalidPlatform| EngineError::invalid(error.to_string()))?,
        ),
    };
    let all_tags = reference.tag().is_none() && reference.digest().is_none();
    Ok(Wanted { reference, all_tags, platform, credentials: Credentials::decode(auth) })
}

/// Pulls, together with whoever pulls the same already.
pub fn pull(engine: &Arc<Engine>, wanted: Wanted) -> Arc<Job> {
    let key = format!("{} {:?}", wanted.reference, wanted.platform);
    let mut pulls = engine.pulls.0.lock().unwrap_or_else(PoisonError::into_inner);
    pulls.retain(|_, (_, job)| job.strong_count() > 0);
    if let Some((credentials, job)) = pulls.get(&key)
        && *credentials == wanted.credentials
        && let Some(job) = job.upgrade().filter(|job| !job.is_over())
    {
        return job;
    }
    let credentials = wanted.credentials.clone();
    let job = Job::start(|lines| run(engine.clone(), wanted, lines));
    pulls.insert(key, (credentials, Arc::downgrade(&job)));
    job
}

async fn run(engine: Arc<Engine>, wanted: Wanted, lines: Arc<Lines>) -> Result<()> {
    engine.containerd.linked().await?;
    if !wanted.all_tags {
        return one(&engine, &wanted, &wanted.reference, &lines).await;
    }
    for tag in asked::tags(&engine, &wanted.reference, &wanted.credentials).await? {
        // What is no tag cannot be asked for either.
        let Ok(reference) = wanted.reference.with_tag(&tag) else { continue };
        one(&engine, &wanted, &reference, &lines).await?;
    }
    Ok(())
}

/// Pulls the one image that `reference` names.
async fn one(engine: &Engine, wanted: &Wanted, reference: &Reference, lines: &Lines) -> Result<()> {
    let shown = reference.tag().map_or_else(|| reference.digest().map(ToString::to_string), |tag| Some(tag.to_owned()));
    let begin = || lines.status(shown.as_deref().unwrap_or_default(), format!("Pulling from {}", reference.path()));
    let before = target(engine, reference).await;
    let transfer = Transfer {
        containerd: &engine.containerd,
        reference,
        settings: engine.registries.load().to_settings(),
        credentials: &wanted.credentials,
        owner: &engine.id,
    };
    let platform = wanted.platform.clone().unwrap_or_else(Platform::host);
    let (mut begun, mut layers) = (false, Layers::default());
    let result = transfer.pull(platform, |progress| {
        if progress.desc.is_some() && !begun {
            begun = true;
            begin();
        }
        layers.take(&progress, lines);
    });
    result.await.map_err(|error| match error.registry() {
        Some(answer) => dockers_sentence(answer, reference, &wanted.credentials),
        None => error.into(),
    })?;
    let pulled = target(engine, reference).await;
    if let Some(digest) = &pulled {
        lines.status("", format!("Digest: {digest}"));
    }
    let what = if pulled == before && !layers.has_fetched() {
        "Image is up to date for"
    } else {
        "Downloaded newer image for"
    };
    lines.status("", format!("Status: {what} {}", reference.familiar()));
    super::announce(engine, "pull", &reference.familiar(), &reference.familiar_name());
    Ok(())
}

/// What the name stands for now.
async fn target(engine: &Engine, reference: &Reference) -> Option<Digest> {
    use corten_containerd_api::ImageStore as _;
    engine.catalog.store().get_image(&reference.to_string()).await.ok().map(|image| image.target.digest)
}

/// dockerd's sentence for what a registry answered.
pub(super) fn dockers_sentence(
    answer: &RegistryAnswer,
    reference: &Reference,
    credentials: &Credentials,
) -> EngineError {
    let name = reference.familiar_name();
    let text = &answer.text;
    match answer.code.as_str() {
        "MANIFEST_UNKNOWN" => {
            EngineError::not_found(format!("manifest for {} not found: {text}", reference.familiar()))
        }
        "NAME_UNKNOWN" => EngineError::not_found(format!("repository {name} not found: {text}")),
        _ if answer.status == 401 && credentials.is_anonymous() => {
            EngineError::internal(format!("{text}: no basic auth credentials"))
        }
        // Never 401: docker's command line would ask for a password, also where nobody can give one.
        "DENIED" | "UNAUTHORIZED" => EngineError::not_found(format!(
            "pull access denied for {name}, repository does not exist or may require 'docker login': {text}"
        )),
        _ => EngineError::internal(format!("{}: {} {text}", answer.host, answer.status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_read_as_dockerd_reads_it() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (query, expected, all_tags) in [
            ("fromImage=busybox&tag=latest".to_owned(), "docker.io/library/busybox:latest".to_owned(), false),
            ("fromImage=busybox".to_owned(), "docker.io/library/busybox".to_owned(), true),
            ("fromImage=localhost:5000/a:&tag=".to_owned(), "localhost:5000/a".to_owned(), true),
            ("fromImage=a/b:1".to_owned(), "docker.io/a/b:1".to_owned(), false),
            (format!("fromImage=a/b&tag={digest}"), format!("docker.io/a/b@{digest}"), false),
        ] {
            let wanted = decode(&Query::decode(&query), "").unwrap();
            assert_eq!((wanted.reference.to_string(), wanted.all_tags), (expected, all_tags), "{query}");
        }
        assert_eq!(decode(&Query::decode("fromImage=UPPER"), "").unwrap_err().kind().http_status(), 400);
        assert_eq!(decode(&Query::decode("fromImage=scratch"), "").unwrap_err().kind().http_status(), 403);
    }

    #[test]
    fn refusals_are_dockerds_sentences() {
        let reference: Reference = "a/b:1".parse().unwrap();
        let answer = |code: &str, text: &str| RegistryAnswer {
            host: "r".into(),
            status: 404,
            code: code.into(),
            text: text.into(),
        };
        for (code, text, status, sentence) in [
            ("MANIFEST_UNKNOWN", "manifest unknown", 404, "manifest for a/b:1 not found: manifest unknown"),
            ("NAME_UNKNOWN", "name unknown", 404, "repository a/b not found: name unknown"),
            (
                "UNAUTHORIZED",
                "authentication required",
                404,
                "pull access denied for a/b, repository does not exist or may require 'docker login': authentication required",
            ),
        ] {
            let error = dockers_sentence(&answer(code, text), &reference, &Credentials::default());
            assert_eq!((error.kind().http_status(), error.message().as_str()), (status, sentence));
        }
        let denied = dockers_sentence(&answer("DENIED", "denied"), &reference, &Credentials::default()).message();
        assert!(denied.starts_with("pull access denied for a/b, repository does not exist or may require"), "{denied}");
    }
}
