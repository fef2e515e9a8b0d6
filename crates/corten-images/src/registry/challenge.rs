//! `WWW-Authenticate`: what a registry wants to see (RFC 9110, 11.6.1; distribution, "token authentication").

/// Most challenges of one answer.
const CHALLENGES_MAX: usize = 16;
/// Most parameters of one challenge.
const PARAMETERS_MAX: usize = 32;

/// One challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// In lower case: `bearer`, `basic`.
    pub scheme: String,
    /// Names in lower case, in their order.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The parameter `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Every challenge of a header; what breaks the grammar ends the list.
pub fn parse(header: &str) -> Vec<Challenge> {
    let mut rest = Rest(header);
    let mut found: Vec<Challenge> = Vec::new();
    loop {
        rest.skip(|c| c == ',' || c.is_ascii_whitespace());
        let word = rest.token();
        if word.is_empty() {
            return found;
        }
        rest.skip(|c| c.is_ascii_whitespace());
        if rest.eat('=') {
            let Some(value) = rest.value() else { return found };
            let Some(last) = found.last_mut() else { return found };
            if last.parameters.len() >= PARAMETERS_MAX {
                return found;
            }
            last.parameters.push((word.to_ascii_lowercase(), value));
            continue;
        }
        if found.len() >= CHALLENGES_MAX {
            return found;
        }
        found.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
    }
}

struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        self.0 = self.0.trim_start_matches(skipped);
    }

    fn eat(&mut self, wanted: char) -> bool {
        match self.0.strip_prefix(wanted) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn token(&mut self) -> &'a str {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.0.find(|c| !is_token(c)).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }

    /// A token or a quoted string; servers also write values with `:` and `/` without quotes.
    fn value(&mut self) -> Option<String> {
        self.skip(|c| c.is_ascii_whitespace());
        if !self.eat('"') {
            let end = self.0.find(|c: char| c == ',' || c.is_ascii_whitespace()).unwrap_or(self.0.len());
            let (word, rest) = self.0.split_at(end);
            self.0 = rest;
            return Some(word.to_owned());
        }
        let mut value = String::new();
        let mut characters = self.0.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.0 = &self.0[at + 1..];
                    return Some(value);
                }
                '\\' => value.push(characters.next()?.1),
                character => value.push(character),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(header: &str) -> Vec<String> {
        parse(header)
            .into_iter()
            .map(|challenge| {
                let parameters: Vec<String> =
                    challenge.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("{} {}", challenge.scheme, parameters.join(";"))
            })
            .collect()
    }

    #[test]
    fn challenges_are_read_as_servers_write_them() {
        for (header, expected) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                &[
                    "bearer realm=https://auth.docker.io/token;service=registry.docker.io;scope=repository:a/b:pull,push",
                ][..],
            ),
            (r#"Basic realm="a \"b\", c""#, &[r#"basic realm=a "b", c"#]),
            (
                r#"Negotiate, Basic realm="x", Bearer realm=https://t/x , service=s"#,
                &["negotiate ", "basic realm=x", "bearer realm=https://t/x;service=s"],
            ),
            (r#"BASIC Realm = "x""#, &["basic realm=x"]),
            ("", &[]),
            (r#"Basic realm="never ends"#, &["basic "]),
            ("=x", &[]),
        ] {
            assert_eq!(shown(header), expected, "{header}");
        }
    }
}
