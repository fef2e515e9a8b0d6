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
