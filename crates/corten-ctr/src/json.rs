//! JSON as ctr prints it: indented by four, what is stored kept as it came, messages by their field names.

use base64_text::encode;
use corten_proto::any;
use prost::Message;
use prost_types::Any;
use serde_json::{Value, json};

mod base64_text {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    /// Bytes in standard base64 with padding, as Go prints `[]byte`.
    pub fn encode(bytes: &[u8]) -> String {
        let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
        for chunk in bytes.chunks(3) {
            let group = [chunk[0], *chunk.get(1).unwrap_or(&0), *chunk.get(2).unwrap_or(&0)];
            let number = u32::from_be_bytes([0, group[0], group[1], group[2]]);
            for digit in 0..4 {
                let letter = DIGITS[(number >> (18 - 6 * digit)) as usize & 63];
                text.push(if digit <= chunk.len() { char::from(letter) } else { '=' });
            }
        }
        text
    }
}

/// Indents JSON text by four, keeping the order and spelling of what is in it.
pub fn indent(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let (mut level, mut in_string, mut escaped) = (0_usize, false, false);
    let mut letters = text.chars().filter(|letter| *letter != '\r').peekable();
    let newline = |out: &mut String, level: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("    ", level));
    };
    while let Some(letter) = letters.next() {
        if in_string {
            out.push(letter);
            in_string = escaped || letter != '"';
            escaped = !escaped && letter == '\\';
            continue;
        }
        match letter {
            ' ' | '\n' | '\t' => {}
            '"' => {
                in_string = true;
                out.push('"');
            }
            '{' | '[' => {
                out.push(letter);
                while letters.next_if(|next| next.is_whitespace()).is_some() {}
                if letters.peek().is_some_and(|next| matches!(next, '}' | ']')) {
                    out.extend(letters.next());
                } else {
                    level += 1;
                    newline(&mut out, level);
                }
            }
            '}' | ']' => {
                level = level.saturating_sub(1);
                newline(&mut out, level);
                out.push(letter);
            }
            ',' => {
                out.push(',');
                newline(&mut out, level);
            }
            ':' => out.push_str(": "),
            letter => out.push(letter),
        }
    }
    out
}

/// Prints JSON text indented, with a newline.
pub fn print(text: &str) {
    println!("{}", indent(text));
}

/// A string as JSON.
pub fn string(text: &str) -> String {
    Value::from(text).to_string()
}

/// Labels as a JSON object, in order of key as Go prints maps.
pub fn labels<'a>(labels: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let mut pairs: Vec<_> =
        labels.into_iter().map(|(key, value)| format!("{}:{}", string(key), string(value))).collect();
    pairs.sort_unstable();
    format!("{{{}}}", pairs.join(","))
}

/// An `Any` as Go's JSON of its struct: type and base64 of the value, both left out when empty.
pub fn packed(any: &Any) -> String {
    let mut fields = Vec::new();
    if !any.type_url.is_empty() {
        fields.push(format!("\"type_url\":{}", string(&any.type_url)));
    }
    if !any.value.is_empty() {
        fields.push(format!("\"value\":{}", string(&encode(&any.value))));
    }
    format!("{{{}}}", fields.join(","))
}

/// An event as ctr prints it, none for a type that is not known.
pub fn event(event: &Any) -> Option<String> {
    let name = event.type_url.rsplit('/').next().unwrap_or_default();
    let fields = events::fields(name, &event.value)?;
    Some(format!("{{{}}}", fields.join(",")))
}

mod events {
    use super::*;
    use corten_containerd_api::{parse_timestamp, rfc3339};
    use corten_proto::containerd::events as wire;
    use prost_types::Timestamp;

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

    /// The fields of an event of the type `name`.
    pub fn fields(name: &str, value: &[u8]) -> Option<Vec<String>> {
        let none = Fields::default;
        use corten_proto::containerd::services::images::v1 as images;
        let fields = match name.rsplit('.').next()? {
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
                none()
                    .text("container_id", &event.container_id)
                    .text("exec_id", &event.exec_id)
                    .number("pid", event.pid)
            }
            "TaskPaused" => none().text("container_id", &wire::TaskPaused::decode(value).ok()?.container_id),
            "TaskResumed" => none().text("container_id", &wire::TaskResumed::decode(value).ok()?.container_id),
            "TaskCheckpointed" => {
                let event = wire::TaskCheckpointed::decode(value).ok()?;
                none().text("container_id", &event.container_id).text("checkpoint", &event.checkpoint)
            }
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
        };
        Some(fields.0)
    }
}

/// What a task's `Any` of process details says, as Go prints the struct.
pub fn process_details(info: Option<&Any>) -> String {
    let Some(info) = info else { return "-".to_owned() };
    if any::is(info, "containerd.runc.v1.ProcessDetails") {
        let exec_id = corten_proto::containerd::runc::v1::ProcessDetails::decode(info.value.as_slice());
        let exec_id = exec_id.map(|details| details.exec_id).unwrap_or_default();
        return format!("&ProcessDetails{{ExecID:{exec_id},XXX_unrecognized:[],}}");
    }
    json!({"type_url": info.type_url}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_in_its_own_order() {
        let text = r#"{"b":[1,{"a":"x, {y: \" }"}],"e":{},"f":[],"n":null}"#;
        let expected = "{\n    \"b\": [\n        1,\n        {\n            \"a\": \"x, {y: \\\" }\"\n        }\n    ],\n    \"e\": {},\n    \"f\": [],\n    \"n\": null\n}";
        assert_eq!(indent(text), expected);
        assert_eq!(indent(expected), expected);
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, expected) in
            [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"foob", "Zm9vYg==")]
        {
            assert_eq!(encode(bytes), expected);
        }
    }
}
