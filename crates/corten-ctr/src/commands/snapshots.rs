//! `ctr snapshots`.

use std::collections::HashMap;
use std::time::SystemTime;

use corten_containerd_api::{ContentStore, ImageStore, Snapshotter, parse_timestamp, rfc3339};
use corten_images::manifest::choose;
use corten_images::{Platform, unpack};
use corten_proto::containerd::services::diff::v1 as diff_wire;
use corten_proto::containerd::services::snapshots::v1 as wire;
use corten_proto::containerd::types::Mount;
use corten_types::Digest;

use super::content::copy_out;
use crate::json;
use crate::session::{Failure, Outcome, Session, api, label_mask, labels, sentence, show_labels};
use crate::table;

async fn all(session: &Session) -> Result<Vec<wire::Info>, Failure> {
    let request = wire::ListSnapshotsRequest { snapshotter: session.snapshotter(), ..Default::default() };
    let mut answers = session.client.snapshots().list(request).await.map_err(api)?.into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await.map_err(api)? {
        all.extend(answer.info);
    }
    Ok(all)
}

fn kind(info: &wire::Info) -> &'static str {
    match info.kind() {
        wire::Kind::View => "View",
        wire::Kind::Active => "Active",
        wire::Kind::Committed => "Committed",
        wire::Kind::Unknown => "Unknown",
    }
}

/// Lists snapshots.
pub async fn list(session: &Session) -> Outcome {
    let mut lines = String::from("KEY\tPARENT\tKIND\t\n");
    for info in all(session).await? {
        lines.push_str(&format!("{}\t{}\t{}\t\n", info.name, info.parent, kind(&info)));
    }
    table::print(&lines, table::TIGHT);
    Ok(())
}

/// Shows one snapshot's record.
pub async fn info(session: &Session) -> Outcome {
    let key = exactly(session, 1)?.remove(0);
    let request = wire::StatSnapshotRequest { snapshotter: session.snapshotter(), key };
    let info = session.client.snapshots().stat(request).await.map_err(api)?.into_inner().info.unwrap_or_default();
    let mut fields =
        vec![format!("\"Kind\":{}", json::string(kind(&info))), format!("\"Name\":{}", json::string(&info.name))];
    if !info.parent.is_empty() {
        fields.push(format!("\"Parent\":{}", json::string(&info.parent)));
    }
    if !info.labels.is_empty() {
        fields.push(format!("\"Labels\":{}", json::labels(&info.labels)));
    }
    let time = |stamp: Option<&prost_types::Timestamp>| rfc3339(parse_timestamp(stamp));
    fields.push(format!("\"Created\":\"{}\"", time(info.created_at.as_ref())));
    fields.push(format!("\"Updated\":\"{}\"", time(info.updated_at.as_ref())));
    json::print(&format!("{{{}}}", fields.join(",")));
    Ok(())
}

/// What is behind the flags, when it is exactly so many words.
fn exactly(session: &Session, count: usize) -> Result<Vec<String>, Failure> {
    let words = session.words();
    if words.len() == count {
        return Ok(words);
    }
    Err(sentence(format!("exactly {count} arguments are needed, {} given", words.len())))
}

fn print_mounts(target: &str, mounts: &[Mount]) {
    for mount in mounts {
        let options = if mount.options.is_empty() { String::new() } else { format!(" -o {}", mount.options.join(",")) };
        println!("mount -t {} {} {target}{options}", mount.r#type, mount.source);
    }
}

fn print_mounts_as_json(mounts: &[Mount]) {
    let one = |mount: &Mount| {
        let options: Vec<String> = mount.options.iter().map(|option| json::string(option)).collect();
        format!(
            "{{\"Type\":{},\"Source\":{},\"Options\":[{}]}}",
            json::string(&mount.r#type),
            json::string(&mount.source),
            options.join(",")
        )
    };
    json::print(&format!("[{}]", mounts.iter().map(one).collect::<Vec<_>>().join(",")));
}

/// Keeps a snapshot that nothing refers to.
fn gc_root() -> HashMap<String, String> {
    let now = rfc3339(SystemTime::now());
    let seconds = now.split(['.', 'Z']).next().unwrap_or_default();
    HashMap::from([("containerd.io/gc.root".to_owned(), format!("{seconds}Z"))])
}

fn key_and_parent(session: &Session) -> Result<(String, String), Failure> {
    let mut words = session.words();
    match words.len() {
        1 => Ok((words.remove(0), String::new())),
        2 => Ok((words.remove(0), words.remove(0))),
        count => Err(sentence(format!("a key and at most one parent are needed, {count} arguments given"))),
    }
}

fn show(session: &Session, mounts: &[Mount]) {
    if !session.value("target").is_empty() {
        print_mounts(session.value("target"), mounts);
    }
    if session.is_set("mounts") {
        print_mounts_as_json(mounts);
    }
}

/// Makes a writable snapshot.
pub async fn prepare(session: &Session) -> Outcome {
    let (key, parent) = key_and_parent(session)?;
    let request = wire::PrepareSnapshotRequest { snapshotter: session.snapshotter(), key, parent, labels: gc_root() };
    let mounts = session.client.snapshots().prepare(request).await.map_err(api)?.into_inner().mounts;
    show(session, &mounts);
    Ok(())
}

/// Makes a read-only snapshot.
pub async fn view(session: &Session) -> Outcome {
    let (key, parent) = key_and_parent(session)?;
    let request = wire::ViewSnapshotRequest { snapshotter: session.snapshotter(), key, parent, ..Default::default() };
    let mounts = session.client.snapshots().view(request).await.map_err(api)?.into_inner().mounts;
    show(session, &mounts);
    Ok(())
}

/// Prints the commands that mount a snapshot.
pub async fn mounts(session: &Session) -> Outcome {
    let words = exactly(session, 2)?;
    let request = wire::MountsRequest { snapshotter: session.snapshotter(), key: words[1].clone() };
    let mounts = session.client.snapshots().mounts(request).await.map_err(api)?.into_inner().mounts;
    print_mounts(&words[0], &mounts);
    Ok(())
}

/// Finishes a writable snapshot.
pub async fn commit(session: &Session) -> Outcome {
    let mut words = exactly(session, 2)?;
    let request = wire::CommitSnapshotRequest {
        snapshotter: session.snapshotter(),
        key: words.remove(1),
        name: words.remove(0),
        labels: gc_root(),
        ..Default::default()
    };
    session.client.snapshots().commit(request).await.map_err(api)?;
    Ok(())
}

/// Removes snapshots.
pub async fn delete(session: &Session) -> Outcome {
    for key in session.words() {
        let request = wire::RemoveSnapshotRequest { snapshotter: session.snapshotter(), key: key.clone() };
        if let Err(status) = session.client.snapshots().remove(request).await {
            return Err(sentence(format!("failed to remove {key:?}: {}", crate::session::text(&api(status)))));
        }
    }
    Ok(())
}

/// Sets and clears labels; without any, shows them.
pub async fn label(session: &Session) -> Outcome {
    let words = session.words();
    let name = session.first("a snapshot must be named")?;
    let labels = labels(&words[1..]);
    let info = if labels.is_empty() {
        let request = wire::StatSnapshotRequest { snapshotter: session.snapshotter(), key: name };
        session.client.snapshots().stat(request).await.map_err(api)?.into_inner().info
    } else {
        let request = wire::UpdateSnapshotRequest {
            snapshotter: session.snapshotter(),
            update_mask: Some(label_mask(&labels)),
            info: Some(wire::Info { name, labels: labels.into_iter().collect(), ..Default::default() }),
        };
        session.client.snapshots().update(request).await.map_err(api)?.into_inner().info
    };
    println!("{}", show_labels(&info.unwrap_or_default().labels));
    Ok(())
}

/// Shows which snapshot stands on which.
pub async fn tree(session: &Session) -> Outcome {
    let all = all(session).await?;
    fn branch(all: &[wire::Info], name: &str, level: usize) {
        let prefix = if level == 0 { String::new() } else { "  ".repeat(level) + "\\_" };
        println!("{prefix} {name}");
        for child in all.iter().filter(|info| info.parent == name) {
            branch(all, &child.name, level + 1);
        }
    }
    for root in all.iter().filter(|info| info.parent.is_empty()) {
        branch(&all, &root.name, 0);
    }
    Ok(())
}

/// Shows what snapshots take on disk.
pub async fn usage(session: &Session) -> Outcome {
    let mut keys = session.words();
    if keys.is_empty() {
        keys = all(session).await?.into_iter().map(|info| info.name).collect();
    }
    let mut lines = String::from("KEY\tSIZE\tINODES\t\n");
    for key in keys {
        let request = wire::UsageRequest { snapshotter: session.snapshotter(), key: key.clone() };
        let usage = session.client.snapshots().usage(request).await.map_err(api)?.into_inner();
        let bytes = u64::try_from(usage.size).unwrap_or(0);
        let size = if session.is_set("b") { bytes.to_string() } else { table::bytes(bytes) };
        lines.push_str(&format!("{key}\t{size}\t{}\t\n", usage.inodes));
    }
    table::print(&lines, table::TIGHT);
    Ok(())
}

/// Unpacks the image whose manifest is given.
pub async fn unpack(session: &Session) -> Outcome {
    let digest: Digest = session.words().first().map_or("", String::as_str).parse()?;
    let images = session.client.list_images().await.map_err(api)?;
    let image = images.into_iter().find(|image| image.target.digest == digest);
    let target = image.ok_or_else(|| sentence("manifest not found"))?.target;
    println!("unpacking {digest} ({})...", target.media_type);
    let store = session.client.with_snapshotter(&session.snapshotter());
    let (_, manifest) = choose(&store, &target, &Platform::host()).await?;
    unpack::unpack(&store, &manifest).await?;
    println!("done");
    Ok(())
}

/// Writes what a snapshot has that another has not to standard output, as a layer.
pub async fn diff(session: &Session) -> Outcome {
    let words = session.words();
    let first = session.first("snapshot id must be provided")?;
    let (lower, upper) = match words.get(1) {
        Some(second) => (first, second.clone()),
        None => {
            let parent =
                session.client.with_snapshotter(&session.snapshotter()).stat(&first).await.map_err(api)?.parent;
            (parent, first)
        }
    };
    let mut labels: HashMap<String, String> = labels(&session.values("label")).into_iter().collect();
    if session.is_set("keep") {
        labels.extend(gc_root());
    }
    let (left, left_view) = mounts_of(session, &lower).await?;
    let (right, right_view) = mounts_of(session, &upper).await?;
    let request = diff_wire::DiffRequest {
        left,
        right,
        media_type: session.value("media-type").to_owned(),
        r#ref: session.value("ref").to_owned(),
        labels,
        ..Default::default()
    };
    let made = session.client.diff().diff(request).await.map_err(api);
    let store = session.client.with_snapshotter(&session.snapshotter());
    for view in [left_view, right_view].into_iter().flatten() {
        store.remove(&view).await.map_err(api)?;
    }
    let made = made?.into_inner().diff.unwrap_or_default();
    let digest: Digest = made.digest.parse()?;
    copy_out(session, &digest, u64::try_from(made.size).unwrap_or(0)).await?;
    if !session.is_set("keep") {
        // Nothing refers to it; who made it removes it.
        session.client.delete_content(&digest).await.map_err(api)?;
    }
    Ok(())
}

/// What shows a snapshot, and the view that was made for it.
async fn mounts_of(session: &Session, key: &str) -> Result<(Vec<Mount>, Option<String>), Failure> {
    let store = session.client.with_snapshotter(&session.snapshotter());
    if key.is_empty() {
        return Ok((Vec::new(), None));
    }
    if store.stat(key).await.map_err(api)?.kind == corten_containerd_api::SnapshotKind::Active {
        return Ok((store.mounts(key).await.map_err(api)?, None));
    }
    let view = format!("{key}-view-key");
    let mounts = store.view(&view, key, &corten_containerd_api::Labels::new()).await.map_err(api)?;
    Ok((mounts, Some(view)))
}
