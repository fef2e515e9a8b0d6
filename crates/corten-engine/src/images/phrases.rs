//! From what a transfer tells to docker's lines.

use corten_docker_api::images::{Progress, ProgressDetail};
use corten_proto::containerd::types::transfer;

/// Events of a transfer and docker's words for them, for a layer that comes; with a bar where it shows how far.
const PULLED: [(&str, &str, bool); 6] = [
    ("waiting", "Pulling fs layer", false),
    ("downloading", "Downloading", true),
    ("complete", "Download complete", false),
    ("extracting", "Extracting", true),
    ("extracted", "Pull complete", false),
    ("already exists", "Already exists", false),
];

/// The same for a layer that goes.
const PUSHED: [(&str, &str, bool); 4] = [
    ("waiting", "Preparing", false),
    ("uploading", "Pushing", true),
    ("complete", "Pushed", false),
    ("already exists", "Layer already exists", false),
];

/// Letters of a layer's id in a line.
const SHORT: usize = 12;
/// Letters of a bar.
const BAR: usize = 50;

/// The line for what is told of a layer that comes; docker shows nothing of manifests and configurations.
pub fn pulled(progress: &transfer::Progress) -> Option<Progress> {
    line(&PULLED, progress)
}

/// The line for what is told of a layer that goes.
pub fn pushed(progress: &transfer::Progress) -> Option<Progress> {
    line(&PUSHED, progress)
}

fn line(phrases: &[(&str, &str, bool)], progress: &transfer::Progress) -> Option<Progress> {
    let layer = progress.desc.as_ref().filter(|descriptor| is_layer(&descriptor.media_type))?;
    let known = phrases.iter().find(|(event, ..)| *event == progress.event);
    let (phrase, has_bar) = match progress.event.strip_prefix("mounted from ") {
        Some(repository) => (format!("Mounted from {repository}"), false),
        None => known.map(|(_, phrase, has_bar)| ((*phrase).to_owned(), *has_bar))?,
    };
    let hex = layer.digest.split_once(':').map_or(layer.digest.as_str(), |(_, hex)| hex);
    let mut detail = ProgressDetail::default();
    if has_bar {
        detail = ProgressDetail { current: progress.progress, total: progress.total };
    }
    Some(Progress {
        status: phrase,
        progress: if has_bar { bar(progress.progress, progress.total) } else { String::new() },
        progress_detail: Some(detail),
        id: hex.chars().take(SHORT).collect(),
        ..Progress::default()
    })
}

fn is_layer(media_type: &str) -> bool {
    media_type.contains(".layer.") || media_type.contains("rootfs.diff")
}

/// How far something is, as docker draws it for clients that do not draw themselves.
pub(super) fn bar(current: i64, total: i64) -> String {
    if total <= 0 {
        return format!("{:>8}", size(current));
    }
    let done = (current.clamp(0, total) as f64 / total as f64 * BAR as f64) as usize;
    let (drawn, left) = ("=".repeat(done), " ".repeat(BAR.saturating_sub(done)));
    format!("[{drawn}>{left}] {:>8}/{}", size(current), size(total))
}

/// Bytes in words, three or four digits, as docker's bars have them.
fn size(bytes: i64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes.max(0) as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if value >= 1000.0 { 4 } else { 4 - (value.max(1.0).log10() as usize + 1) };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_proto::containerd::types::Descriptor;

    fn told(event: &str, media_type: &str) -> transfer::Progress {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let desc = Descriptor { media_type: media_type.into(), digest, ..Descriptor::default() };
        transfer::Progress { event: event.into(), progress: 512, total: 1024, desc: Some(desc), ..Default::default() }
    }

    #[test]
    fn layers_are_shown_in_dockers_words_and_nothing_else_is() {
        let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
        let shown = pulled(&told("downloading", layer)).unwrap();
        assert_eq!((shown.id.as_str(), shown.status.as_str()), ("abababababab", "Downloading"));
        assert_eq!(shown.progress, "[=========================>                         ]     512B/1.024kB");
        let shown = pulled(&told("extracted", layer)).unwrap();
        let json = serde_json::to_string(&shown).unwrap();
        assert_eq!(json, r#"{"status":"Pull complete","progressDetail":{},"id":"abababababab"}"#);
        assert_eq!(pushed(&told("complete", layer)).unwrap().status, "Pushed");
        assert_eq!(pushed(&told("mounted from a/b", layer)).unwrap().status, "Mounted from a/b");
        assert_eq!(pulled(&told("downloading", "application/vnd.oci.image.config.v1+json")), None);
        assert_eq!(pulled(&told("Resolving from x", layer)), None);
    }

    #[test]
    fn sizes_have_dockers_digits() {
        for (bytes, text) in [(0, "0B"), (512, "512B"), (1024, "1.024kB"), (32_768, "32.77kB"), (2_500_000, "2.5MB")] {
            assert_eq!(size(bytes), text);
        }
    }
}
