//! `GET /images/json`.

use std::collections::HashMap;

use corten_docker_api::images::ImageSummary;
use corten_docker_api::{ApiVersion, Filters};
use corten_images::{Details, Listed};

use super::inspect::DESCRIPTOR_SINCE;
use super::sizes::Sizes;
use super::{manifests, pattern};
use crate::clock::Moment;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// Filters this call knows.
const FILTERS: &[&str] = &["before", "dangling", "label", "label!", "reference", "since", "until"];

/// Below this version an image without a name carries a name that says so.
const EMPTY_NAMES_SINCE: ApiVersion = ApiVersion::new(1, 43);

/// Below this version the size is given twice.
const ONE_SIZE_SINCE: ApiVersion = ApiVersion::new(1, 44);

/// What a list tells beside the images.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras {
    /// The bytes each shares with others (1.42).
    pub shared_size: bool,
    /// The manifests behind each (1.47).
    pub manifests: bool,
}

/// The images, newest first.
///
/// # Errors
/// 400 for a filter that cannot be used, 404 for the image of `before` or `since`.
pub async fn list(
    engine: &Engine,
    filters: &Filters,
    extras: Extras,
    version: ApiVersion,
) -> Result<Vec<ImageSummary>> {
    engine.containerd.linked().await?;
    let listed = engine.catalog.list().await?;
    let sizes = Sizes::measure(engine, &listed).await?;
    let records: HashMap<String, corten_containerd_api::Image> = match extras.manifests {
        true => listed
            .iter()
            .filter_map(|image| Some((image.details.id().to_string(), image.records.first()?.clone())))
            .collect(),
        false => HashMap::new(),
    };
    let mut summaries = Vec::new();
    for (mut summary, shared) in summaries_of(engine, listed, &sizes, filters, version).await? {
        if extras.shared_size {
            summary.shared_size = shared;
        }
        if let Some(record) = records.get(&summary.id) {
            summary.manifests = Some(manifests::manifests(engine, record).await?);
        }
        summaries.push(summary);
    }
    Ok(summaries)
}

/// The images that pass the filters, newest first, each with the bytes it shares with others.
///
/// # Errors
/// As [`list`].
pub async fn summaries_of(
    engine: &Engine,
    listed: Vec<Listed>,
    sizes: &Sizes,
    filters: &Filters,
    version: ApiVersion,
) -> Result<Vec<(ImageSummary, i64)>> {
    filters.allow(FILTERS)?;
    let dangling = match filters.contains("dangling") {
        true => Some(filters.boolean("dangling", false)?),
        false => None,
    };
    let before = moment_of(engine, filters, "before").await?;
    let since = moment_of(engine, filters, "since").await?;
    let until = filters.values("until").next().map(until).transpose()?;
    let mut summaries = Vec::new();
    for image in listed {
        let created = created(&image.details);
        let is_dangling = image.references().next().is_none();
        let is_wanted = dangling.is_none_or(|wanted| wanted == is_dangling)
            && before.is_none_or(|before| created < before)
            && since.is_none_or(|since| created > since)
            && until.is_none_or(|until| created < until)
            && filters.match_labels(&image.details.parsed.config.labels);
        if !is_wanted {
            continue;
        }
        let Some(names) = names(&image, filters) else { continue };
        let shared = i64::try_from(sizes.shared_bytes_of(&image.details)).unwrap_or(i64::MAX);
        let size = sizes.bytes_of(&image.details);
        summaries.push((summary(&image, names, size, created, version), shared));
    }
    summaries.sort_by(|(a, _), (b, _)| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
    Ok(summaries)
}

/// Tags and digests that are shown; `None` when the `reference` filter leaves nothing of the image.
fn names(image: &Listed, filters: &Filters) -> Option<(Vec<String>, Vec<String>)> {
    let (mut tags, mut digests) = (image.repo_tags(), image.repo_digests());
    if filters.contains("reference") {
        let fits = |name: &String| filters.values("reference").any(|wanted| pattern::matches_reference(wanted, name));
        tags.retain(fits);
        digests.retain(fits);
        if tags.is_empty() && digests.is_empty() {
            return None;
        }
    }
    Some((tags, digests))
}

fn summary(
    image: &Listed,
    (mut tags, mut digests): (Vec<String>, Vec<String>),
    size: u64,
    created: Moment,
    version: ApiVersion,
) -> ImageSummary {
    if version < EMPTY_NAMES_SINCE {
        if tags.is_empty() && digests.is_empty() {
            tags.push("<none>:<none>".to_owned());
        }
        if digests.is_empty() {
            digests.push("<none>@<none>".to_owned());
        }
    }
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let labels = image.details.parsed.config.labels.clone();
    let target = image.records.first().filter(|_| version >= DESCRIPTOR_SINCE).map(|record| &record.target);
    ImageSummary {
        descriptor: target.map(manifests::descriptor),
        containers: -1,
        created: created.seconds(),
        id: image.details.id().to_string(),
        labels: (!labels.is_empty()).then_some(labels),
        repo_digests: Some(digests),
        repo_tags: Some(tags),
        shared_size: -1,
        size,
        virtual_size: if version < ONE_SIZE_SINCE { size } else { 0 },
        ..ImageSummary::default()
    }
}

/// When an image was made; one that does not say counts as 1970.
pub(super) fn created(details: &Details) -> Moment {
    Moment::parse(&details.parsed.created).unwrap_or(Moment::from_nanos(0))
}

async fn moment_of(engine: &Engine, filters: &Filters, key: &str) -> Result<Option<Moment>> {
    let Some(name) = filters.values(key).next() else { return Ok(None) };
    Ok(Some(created(&engine.catalog.resolve(name).await?.details)))
}

/// `until`: RFC 3339, unix seconds, or how long ago (`24h`, `1h30m`).
pub(super) fn until(text: &str) -> Result<Moment> {
    let invalid = || EngineError::invalid(format!("invalid filter 'until': {text:?} is neither a time nor a duration"));
    if let Some(moment) = Moment::parse(text) {
        return Ok(moment);
    }
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1_000_000_000).map(Moment::from_nanos).ok_or_else(invalid);
    }
    let ago = go_duration_nanos(text).ok_or_else(invalid)?;
    Ok(Moment::from_nanos(Moment::now().nanos().saturating_sub(ago)))
}

/// Go's `time.ParseDuration`, for the units people write.
fn go_duration_nanos(text: &str) -> Option<i64> {
    let mut total = 0f64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let value: f64 = rest[..digits].parse().ok()?;
        let tail = &rest[digits..];
        let unit_end = tail.find(|character: char| character.is_ascii_digit()).unwrap_or(tail.len());
        let unit = match &tail[..unit_end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            _ => return None,
        };
        total += value * unit;
        rest = &tail[unit_end..];
    }
    (!text.is_empty()).then_some((total * 1e9) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        for (text, nanos) in [
            ("24h", Some(86_400_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("", None),
            ("1", None),
            ("1d", None),
        ] {
            assert_eq!(go_duration_nanos(text), nanos, "{text}");
        }
    }

    #[test]
    fn until_is_a_time_or_an_age() {
        assert_eq!(until("5").unwrap(), Moment::from_nanos(5_000_000_000));
        assert_eq!(until("1970-01-01T00:00:05Z").unwrap(), Moment::from_nanos(5_000_000_000));
        assert!(until("1h").unwrap() < Moment::now());
        assert!(until("yesterday").is_err());
    }
}
