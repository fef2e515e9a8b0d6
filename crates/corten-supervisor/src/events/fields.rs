//! What a filter sees of an envelope: `namespace`, `topic`, `event.<field>`.

use std::{borrow::Cow, cell::OnceCell, collections::HashMap};

use corten_proto::{any, containerd::events, containerd::services::images::v1 as images, containerd::types::Envelope};

use crate::filter::{Fields, label, non_empty};

/// An envelope; its event is decoded only when a filter asks for one of its fields.
pub(super) struct Fielded<'a> {
    envelope: &'a Envelope,
    event: OnceCell<Event>,
}

/// The fields of an event that containerd lets filters see: text and labels.
#[derive(Default)]
struct Event {
    texts: Vec<(&'static str, String)>,
    labels: HashMap<String, String>,
}

impl<'a> Fielded<'a> {
    pub(super) fn new(envelope: &'a Envelope) -> Self {
        Self { envelope, event: OnceCell::new() }
    }
}

impl Fields for Fielded<'_> {
    fn field(&self, path: &[&str]) -> Option<Cow<'_, str>> {
        match path {
            ["namespace"] => non_empty(&self.envelope.namespace),
            ["topic"] => non_empty(&self.envelope.topic),
            ["event", rest @ ..] => {
                let event = self.event.get_or_init(|| decode(self.envelope));
                match rest {
                    ["labels", key @ ..] => label(&event.labels, key),
                    [name] => event.texts.iter().find(|(known, _)| known == name).and_then(|(_, text)| non_empty(text)),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

macro_rules! decode_as {
    ($any:expr, $($message:ty { $($field:ident),* } $($labels:ident)?;)*) => {
        $(if let Ok(Some(event)) = any::unpack::<$message>($any) {
            return Event {
                texts: vec![$((stringify!($field), event.$field)),*],
                $(labels: event.$labels,)?
                ..Event::default()
            };
        })*
    };
}

#[allow(clippy::needless_update)]
fn decode(envelope: &Envelope) -> Event {
    let Some(any) = &envelope.event else { return Event::default() };
    decode_as! { any,
        events::TaskCreate { container_id, bundle, checkpoint };
        events::TaskStart { container_id };
        events::TaskExit { container_id, id };
        events::TaskDelete { container_id, id };
        events::TaskOom { container_id };
        events::TaskExecAdded { container_id, exec_id };
        events::TaskExecStarted { container_id, exec_id };
        events::TaskPaused { container_id };
        events::TaskResumed { container_id };
        events::TaskCheckpointed { container_id, checkpoint };
        events::ContainerCreate { id, image };
        events::ContainerUpdate { id, image, snapshot_key } labels;
        events::ContainerDelete { id };
        events::ContentDelete { digest };
        events::NamespaceCreate { name } labels;
        events::NamespaceUpdate { name } labels;
        events::NamespaceDelete { name };
        events::SnapshotPrepare { key, parent, snapshotter };
        events::SnapshotCommit { key, name, snapshotter };
        events::SnapshotRemove { key, snapshotter };
        images::ImageCreate { name } labels;
        images::ImageUpdate { name } labels;
        images::ImageDelete { name };
    }
    Event::default()
}
