//! The part of a request's target behind the question mark.

/// Parameters in their order; names may repeat.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=b&c=d`, with `+` and `%xx` decoded.
    pub fn decode(text: &str) -> Self {
        let pair = |pair: &str| match pair.split_once('=') {
            Some((name, value)) => (decode_component(name, true), decode_component(value, true)),
            None => (decode_component(pair, true), String::new()),
        };
        Self(text.split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    /// The first value of `name`; empty when absent, which the API does not tell apart.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Whether `name` is there at all.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// Every value of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// dockerd's idea of a boolean: empty, `0`, `no`, `false`, `none` are false, anything else is true.
    pub fn flag(&self, name: &str) -> bool {
        !matches!(self.get(name).trim().to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// A boolean that is `default` when absent.
    pub fn flag_or(&self, name: &str, default: bool) -> bool {
        if self.has(name) { self.flag(name) } else { default }
    }
}

/// Decodes `%xx`, and `+` as a space in queries; what is no valid escape stays as it is.
pub fn decode_component(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |offset: usize| bytes.get(at + offset).and_then(|digit| (*digit as char).to_digit(16));
        match bytes[at] {
            b'%' => match (hex(1), hex(2)) {
                (Some(high), Some(low)) => {
                    decoded.push((high * 16 + low) as u8);
                    at += 3;
                    continue;
                }
                _ => decoded.push(b'%'),
            },
            b'+' if plus_is_space => decoded.push(b' '),
            byte => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_booleans_are_dockerds() {
        let query = Query::decode("all=1&size=False&x=none&filters=%7B%22a%22%3A%5B%22b+c%22%5D%7D&q&bad=%zz&t=a&t=b");
        assert!(query.flag("all") && !query.flag("size") && !query.flag("x") && !query.flag("absent"));
        assert_eq!(query.get("filters"), r#"{"a":["b c"]}"#);
        assert!(query.has("q") && !query.flag("q"));
        assert_eq!(query.get("bad"), "%zz");
        assert_eq!(query.all("t").collect::<Vec<_>>(), ["a", "b"]);
        assert!(query.flag_or("absent", true));
    }
}
