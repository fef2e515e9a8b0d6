//! What is reachable, and what is not.
//!
//! ```text
//! roots: images, containers, live leases, and content or snapshots labelled gc.root
//! image → its target     container → its snapshot     snapshot → its parent     lease → what it holds
//! labels: containerd.io/gc.ref.{content,snapshot.<snapshotter>,image}[.x|/x] = target
//!         containerd.io/gc.bref.{container,content,image,snapshot.<snapshotter>}[…] = who keeps this one
//! ```
//! Content points at content only by labels, which clients set (an index at its manifests, a manifest
//! at its layers). A lease labelled gc.flat keeps what it holds but not what that refers to.

use std::{
    collections::{HashMap, HashSet},
    time::SystemTime,
};

use rusqlite::Connection;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    error::Result,
    metadata::records::{BLOBS, CONTAINERS, IMAGES, LEASES},
    snapshots::records as snapshots,
};

const ROOT: &str = "containerd.io/gc.root";
const EXPIRE: &str = "containerd.io/gc.expire";
const FLAT: &str = "containerd.io/gc.flat";
const REFERENCE: &str = "containerd.io/gc.ref.";
const BACK_REFERENCE: &str = "containerd.io/gc.bref.";

type Labels = HashMap<String, String>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Node {
    Content(String),
    Snapshot(String, String),
    Image(String),
    Container(String),
}

/// A node in its namespace; references never leave one.
type Place = (String, Node);

/// What nothing refers to.
#[derive(Debug, Default)]
pub(super) struct Garbage {
    /// Namespace and digest.
    pub content: Vec<(String, String)>,
    /// Namespace, snapshotter, key and number, children before parents.
    pub snapshots: Vec<(String, String, String, u64)>,
    /// Namespace and id of leases that have expired.
    pub leases: Vec<(String, String)>,
}

impl Garbage {
    pub(super) fn is_empty(&self) -> bool {
        self.content.is_empty() && self.snapshots.is_empty() && self.leases.is_empty()
    }
}

#[derive(Default)]
struct Graph {
    edges: HashMap<Place, Vec<Place>>,
    roots: Vec<Place>,
    /// Kept, but not followed.
    flat: Vec<Place>,
}

/// Everything unreachable at `now`.
///
/// # Errors
/// The database's, or a record that does not decode: what it refers to is unknown, so nothing may go.
pub(super) fn mark(connection: &Connection, now: SystemTime) -> Result<Garbage> {
    let mut graph = Graph::default();
    let mut garbage = Garbage::default();
    let mut content = Vec::new();
    BLOBS.each_everywhere(connection, |namespace, digest, info| {
        graph.add((namespace.to_owned(), Node::Content(digest.to_owned())), &info.labels, []);
        content.push((namespace.to_owned(), digest.to_owned()));
        Ok(())
    })?;
    let mut layers = Vec::new();
    snapshots::each_everywhere(connection, |namespace, snapshotter, snapshot| {
        let parent = (!snapshot.info.parent.is_empty())
            .then(|| Node::Snapshot(snapshotter.to_owned(), snapshot.info.parent.clone()));
        let node = Node::Snapshot(snapshotter.to_owned(), snapshot.info.name.clone());
        graph.add((namespace.to_owned(), node), &snapshot.info.labels, parent);
        layers.push((namespace.to_owned(), snapshotter.to_owned(), snapshot.info.name, snapshot.number));
    })?;
    IMAGES.each_everywhere(connection, |namespace, name, image| {
        let place = (namespace.to_owned(), Node::Image(name.to_owned()));
        graph.roots.push(place.clone());
        graph.add(place, &image.labels, image.target.map(|target| Node::Content(target.digest)));
        Ok(())
    })?;
    CONTAINERS.each_everywhere(connection, |namespace, id, container| {
        let place = (namespace.to_owned(), Node::Container(id.to_owned()));
        graph.roots.push(place.clone());
        let snapshot = (!container.snapshot_key.is_empty())
            .then(|| Node::Snapshot(container.snapshotter.clone(), container.snapshot_key.clone()));
        graph.add(place, &container.labels, snapshot);
        Ok(())
    })?;
    LEASES.each_everywhere(connection, |namespace, id, lease| {
        if expiry(&lease.labels).is_some_and(|expiry| expiry <= now) {
            garbage.leases.push((namespace.to_owned(), id.to_owned()));
            return Ok(());
        }
        let held = held(connection, namespace, id)?;
        if lease.labels.contains_key(FLAT) {
            graph.flat.extend(held)
        } else {
            graph.roots.extend(held)
        }
        Ok(())
    })?;

    let reached = graph.reach();
    content.retain(|(namespace, digest)| !reached.contains(&(namespace.clone(), Node::Content(digest.clone()))));
    layers.retain(|(namespace, snapshotter, key, _)| {
        !reached.contains(&(namespace.clone(), Node::Snapshot(snapshotter.clone(), key.clone())))
    });
    // A child always has the greater number: it was made when its parent was committed.
    layers.sort_by_key(|(_, _, _, number)| std::cmp::Reverse(*number));
    (garbage.content, garbage.snapshots) = (content, layers);
    Ok(garbage)
}

/// When a lease ends, if it does.
pub(super) fn expiry(labels: &Labels) -> Option<SystemTime> {
    OffsetDateTime::parse(labels.get(EXPIRE)?, &Rfc3339).ok().map(SystemTime::from)
}

fn held(connection: &Connection, namespace: &str, lease: &str) -> Result<Vec<Place>> {
    let mut statement =
        connection.prepare_cached("SELECT type, id FROM lease_resources WHERE namespace = ?1 AND lease = ?2")?;
    let mut rows = statement.query([namespace, lease])?;
    let mut held = Vec::new();
    while let Some(row) = rows.next()? {
        let (kind, id): (String, String) = (row.get(0)?, row.get(1)?);
        let node = match kind.split_once('/') {
            Some(("snapshots", snapshotter)) => Node::Snapshot(snapshotter.to_owned(), id),
            None if kind == "content" => Node::Content(id),
            None if kind == "images" => Node::Image(id),
            // Ingests are files with an expiry of their own.
            _ => continue,
        };
        held.push((namespace.to_owned(), node));
    }
    Ok(held)
}

impl Graph {
    fn add(&mut self, place: Place, labels: &Labels, direct: impl IntoIterator<Item = Node>) {
        let namespace = &place.0;
        let mut targets: Vec<Place> = direct.into_iter().map(|node| (namespace.clone(), node)).collect();
        for (key, value) in labels {
            if let Some(node) = key.strip_prefix(REFERENCE).and_then(|rest| target(rest, value)) {
                targets.push((namespace.clone(), node));
            } else if let Some(node) = key.strip_prefix(BACK_REFERENCE).and_then(|rest| target(rest, value)) {
                self.edges.entry((namespace.clone(), node)).or_default().push(place.clone());
            } else if key == ROOT && matches!(place.1, Node::Content(_) | Node::Snapshot(..)) {
                self.roots.push(place.clone());
            }
        }
        self.edges.entry(place).or_default().extend(targets);
    }

    fn reach(mut self) -> HashSet<Place> {
        let mut reached = HashSet::new();
        let mut pending = std::mem::take(&mut self.roots);
        while let Some(place) = pending.pop() {
            if reached.contains(&place) {
                continue;
            }
            if let Some(targets) = self.edges.remove(&place) {
                pending.extend(targets);
            }
            reached.insert(place);
        }
        reached.extend(self.flat);
        reached
    }
}

/// What a label `gc.ref.<rest> = value` refers to. Behind the type stands nothing, or `.x` or `/x`,
/// which only tells several labels apart.
fn target(rest: &str, value: &str) -> Option<Node> {
    if let Some(rest) = rest.strip_prefix("snapshot.") {
        let snapshotter = rest.split('/').next().unwrap_or(rest);
        return Some(Node::Snapshot(snapshotter.to_owned(), value.to_owned()));
    }
    let kind = rest.split(['.', '/']).next()?;
    match kind {
        "content" => Some(Node::Content(value.to_owned())),
        "image" => Some(Node::Image(value.to_owned())),
        "container" => Some(Node::Container(value.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn place(node: Node) -> Place {
        ("ns".into(), node)
    }

    fn content(digest: &str) -> Node {
        Node::Content(digest.into())
    }

    #[test]
    fn labels_name_their_targets() {
        for (rest, node) in [
            ("content", Some(content("v"))),
            ("content.l.0", Some(content("v"))),
            ("content/m", Some(content("v"))),
            ("snapshot.overlayfs", Some(Node::Snapshot("overlayfs".into(), "v".into()))),
            ("snapshot.overlayfs/x", Some(Node::Snapshot("overlayfs".into(), "v".into()))),
            ("image.0", Some(Node::Image("v".into()))),
            ("other", None),
        ] {
            assert_eq!(target(rest, "v"), node, "{rest}");
        }
    }

    #[test]
    fn references_chain_and_flat_ones_do_not() {
        let mut graph = Graph::default();
        graph.add(place(content("index")), &labels(&[("containerd.io/gc.ref.content.m.0", "manifest")]), []);
        graph.add(place(content("manifest")), &labels(&[("containerd.io/gc.ref.content.l.0", "layer")]), []);
        graph.add(place(content("layer")), &labels(&[]), []);
        graph.add(place(content("note")), &labels(&[("containerd.io/gc.bref.content", "layer")]), []);
        graph.add(place(content("kept")), &labels(&[(ROOT, "2024")]), []);
        graph.add(place(content("flat")), &labels(&[("containerd.io/gc.ref.content", "beyond")]), []);
        graph.add(place(content("beyond")), &labels(&[]), []);
        graph.roots.push(place(content("index")));
        graph.flat.push(place(content("flat")));
        let mut reached: Vec<_> = graph.reach().into_iter().map(|(_, node)| node).collect();
        reached.sort();
        assert_eq!(reached, ["flat", "index", "kept", "layer", "manifest", "note"].map(content));
    }
}
