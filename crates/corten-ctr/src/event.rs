//! Events as ctr prints them: the fields of each type that are not empty, in the order of its message.

use corten_containerd_api::{parse_timestamp, rfc3339};
use corten_proto::containerd::events as wire;
use corten_proto::containerd::services::images::v1 as images;
use prost::Message;
use prost_types::{Any, Timestamp};

use crate::json::{labels, packed, string};

/// An event as ctr prints it, none for a type that is not known.
pub fn event(event: &Any) -> Option<String> {
    let kind = event.type_url.rsplit(['/', '.']).next().unwrap_or_default();
    let value = event.value.as_slice();
    let fields = task(kind, value).or_else(|| container(kind, value)).or_else(|| record(kind, value))?;
    Some(format!("{{{}}}", fields.0.join(",")))
}

/// Fields under construction; empty ones are left out, as Go's `omitempty` does.
#[derive(Default)]
struct Fields(Vec<String>);

impl Fields {
    fn text(mut self, key: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.0.push(format!("\"{key}\":{}", string(value)));
        }
        self
    }

    fn number(mut self, key: &str, value: u32) -> Self {
        if value != 0 {
            self.0.push(format!("\"{key}\":{value}"));
        }
        self
    }

    fn flag(mut self, key: &str, value: bool) -> Self {
        if value {
            self.0.push(format!("\"{key}\":true"));
        }
        self
    }

    fn time(mut self, key: &str, value: Option<&Timestamp>) -> Self {
        // Go's zero time is a value, so it is printed.
        let text = value.map_or("0001-01-01T00:00:00Z".to_owned(), |time| rfc3339(parse_timestamp(Some(time))));
        self.0.push(format!("\"{key}\":\"{text}\""));
        self
    }

    fn raw(mut self, key: &str, value: Option<String>) -> Self {
        if let Some(value) = value.filter(|value| value != "{}") {
            self.0.push(format!("\"{key}\":{value}"));
        }
        self
    }

    fn labels(self, key: &str, value: &std::collections::HashMap<String, String>) -> Self {
        self.raw(key, Some(labels(value)))
    }
}

fn mounts(mounts: &[corten_proto::containerd::types::Mount]) -> Option<String> {
    if mounts.is_empty() {
        return None;
    }
    let one = |mount: &corten_proto::containerd::types::Mount| {
        let options: Vec<String> = mount.options.iter().map(|option| string(option)).collect();
        let options = if options.is_empty() { None } else { Some(format!("[{}]", options.join(","))) };
        let fields = Fields::default()
            .text("type", &mount.r#type)
            .text("source", &mount.source)
            .text("target", &mount.target)
            .raw("options", options);
        format!("{{{}}}", fields.0.join(","))
    };
    Some(format!("[{}]", mounts.iter().map(one).collect::<Vec<_>>().join(",")))
}

/// What happens to a task.
fn task(kind: &str, value: &[u8]) -> Option<Fields> {
    let none = Fields::default;
    Some(match kind {
        "TaskCreate" => {
            let event = wire::TaskCreate::decode(value).ok()?;
            let io = event.io.unwrap_or_default();
            let io = none()
                .text("stdin", &io.stdin)
                .text("stdout", &io.stdout)
                .text("stderr", &io.stderr)
                .flag("terminal", io.terminal);
            none()
                .text("container_id", &event.container_id)
                .text("bundle", &event.bundle)
                .raw("rootfs", mounts(&event.rootfs))
                .raw("io", Some(format!("{{{}}}", io.0.join(","))))
                .text("checkpoint", &event.checkpoint)
                .number("pid", event.pid)
        }
        "TaskStart" => {
            let event = wire::TaskStart::decode(value).ok()?;
            none().text("container_id", &event.container_id).number("pid", event.pid)
        }
        "TaskDelete" => {
            let event = wire::TaskDelete::decode(value).ok()?;
            none()
                .text("container_id", &event.container_id)
                .number("pid", event.pid)
                .number("exit_status", event.exit_status)
                .time("exited_at", event.exited_at.as_ref())
                .text("id", &event.id)
        }
        "TaskExit" => {
            let event = wire::TaskExit::decode(value).ok()?;
            none()
                .text("container_id", &event.container_id)
                .text("id", &event.id)
                .number("pid", event.pid)
                .number("exit_status", event.exit_status)
                .time("exited_at", event.exited_at.as_ref())
        }
        "TaskOOM" => none().text("container_id", &wire::TaskOom::decode(value).ok()?.container_id),
        "TaskExecAdded" => {
            let event = wire::TaskExecAdded::decode(value).ok()?;
            none().text("container_id", &event.container_id).text("exec_id", &event.exec_id)
        }
        "TaskExecStarted" => {
            let event = wire::TaskExecStarted::decode(value).ok()?;
            none().text("container_id", &event.container_id).text("exec_id", &event.exec_id).number("pid", event.pid)
        }
        "TaskPaused" => none().text("container_id", &wire::TaskPaused::decode(value).ok()?.container_id),
        "TaskResumed" => none().text("container_id", &wire::TaskResumed::decode(value).ok()?.container_id),
        "TaskCheckpointed" => {
            let event = wire::TaskCheckpointed::decode(value).ok()?;
            none().text("container_id", &event.container_id).text("checkpoint", &event.checkpoint)
        }
        _ => return None,
    })
}

/// What happens to a container's record.
fn container(kind: &str, value: &[u8]) -> Option<Fields> {
    let none = Fields::default;
    Some(match kind {
        "ContainerCreate" => {
            let event = wire::ContainerCreate::decode(value).ok()?;
            let runtime = event.runtime.map(|runtime| {
                let options = runtime.options.as_ref().map(packed);
                let fields = none().text("name", &runtime.name).raw("options", options);
                format!("{{{}}}", fields.0.join(","))
            });
            none().text("id", &event.id).text("image", &event.image).raw("runtime", runtime)
        }
        "ContainerUpdate" => {
            let event = wire::ContainerUpdate::decode(value).ok()?;
            none()
                .text("id", &event.id)
                .text("image", &event.image)
                .labels("labels", &event.labels)
                .text("snapshot_key", &event.snapshot_key)
        }
        "ContainerDelete" => none().text("id", &wire::ContainerDelete::decode(value).ok()?.id),
        _ => return None,
    })
}

/// What happens to images, snapshots, content and namespaces.
fn record(kind: &str, value: &[u8]) -> Option<Fields> {
    let none = Fields::default;
    Some(match kind {
        "ImageCreate" | "ImageUpdate" => {
            let event = images::ImageCreate::decode(value).ok()?;
            none().text("name", &event.name).labels("labels", &event.labels)
        }
        "ImageDelete" => none().text("name", &images::ImageDelete::decode(value).ok()?.name),
        "SnapshotPrepare" => {
            let event = wire::SnapshotPrepare::decode(value).ok()?;
            none().text("key", &event.key).text("parent", &event.parent)
        }
        "SnapshotCommit" => {
            let event = wire::SnapshotCommit::decode(value).ok()?;
            none().text("key", &event.key).text("name", &event.name)
        }
        "SnapshotRemove" => none().text("key", &wire::SnapshotRemove::decode(value).ok()?.key),
        "ContentDelete" => none().text("digest", &wire::ContentDelete::decode(value).ok()?.digest),
        "NamespaceCreate" | "NamespaceUpdate" => {
            let event = wire::NamespaceCreate::decode(value).ok()?;
            none().text("name", &event.name).labels("labels", &event.labels)
        }
        "NamespaceDelete" => none().text("name", &wire::NamespaceDelete::decode(value).ok()?.name),
        _ => return None,
    })
}
