//! Words of a Dockerfile instruction: quotes, escapes and `$variables` (dockerfile reference, "Environment replacement").

/// Splits `text` into words at blanks outside quotes, with variables replaced from `env`.
///
/// # Errors
/// What is not closed.
pub(crate) fn words(text: &str, env: &[String]) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars().peekable();
    let mut quote: Option<char> = None;
    while let Some(character) = rest.next() {
        match (quote, character) {
            (None, ' ' | '\t') => all.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (Some(open), character) if character == open => quote = None,
            (Some('\''), character) => word.get_or_insert_default().push(character),
            (Some(_), '\\') => match rest.next() {
                Some(escaped @ ('"' | '$' | '\\')) => word.get_or_insert_default().push(escaped),
                Some(other) => word.get_or_insert_default().extend(['\\', other]),
                None => word.get_or_insert_default().push('\\'),
            },
            (None, '\\') => word.get_or_insert_default().extend(rest.next()),
            (_, '$') => {
                let value = variable(&mut rest, env)?;
                word.get_or_insert_default().push_str(&value);
            }
            (_, character) => word.get_or_insert_default().push(character),
        }
    }
    if let Some(open) = quote {
        return Err(format!("unexpected end of statement while looking for matching {open}"));
    }
    all.extend(word);
    Ok(all)
}

/// The whole of `text` as one word.
pub(crate) fn word(text: &str, env: &[String]) -> Result<String, String> {
    Ok(words(text, env)?.join(" "))
}

fn variable(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, env: &[String]) -> Result<String, String> {
    let is_name = |character: &char| character.is_ascii_alphanumeric() || *character == '_';
    let look_up = |name: &str| {
        let found = env.iter().rev().find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name));
        found.map(|(_, value)| value.to_owned())
    };
    if rest.peek() != Some(&'{') {
        let mut name = String::new();
        while let Some(character) = rest.next_if(is_name) {
            name.push(character);
        }
        return Ok(if name.is_empty() { "$".to_owned() } else { look_up(&name).unwrap_or_default() });
    }
    rest.next();
    let mut inside = String::new();
    loop {
        match rest.next() {
            Some('}') => break,
            Some(character) => inside.push(character),
            None => return Err("syntax error: missing '}'".to_owned()),
        }
    }
    let end = inside.find(|character| !is_name(&character)).unwrap_or(inside.len());
    let (name, modifier) = inside.split_at(end);
    let value = look_up(name);
    let is_set = value.as_ref().is_some_and(|value| !value.is_empty());
    match modifier {
        "" => Ok(value.unwrap_or_default()),
        _ if modifier.starts_with(":-") => {
            Ok(if is_set { value.unwrap_or_default() } else { modifier[2..].to_owned() })
        }
        _ if modifier.starts_with(":+") => Ok(if is_set { modifier[2..].to_owned() } else { String::new() }),
        _ => Err(format!("unsupported modifier {modifier:?} in substitution")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_follow_docker() {
        let env = ["A=one".to_owned(), "E=".to_owned()];
        for (text, expected) in [
            ("a b  c", Ok(vec!["a", "b", "c"])),
            (r#"k="v w" x='$A'"#, Ok(vec!["k=v w", "x=$A"])),
            ("$A ${A}b \\$A $", Ok(vec!["one", "oneb", "$A", "$"])),
            ("${N:-d} ${E:-d} ${A:+s} ${E:+s}", Ok(vec!["d", "d", "s", ""])),
            (r#""" a\ b"#, Ok(vec!["", "a b"])),
        ] {
            let expected: Result<Vec<String>, String> =
                expected.map(|words| words.iter().map(ToString::to_string).collect());
            // A word that expands to nothing is still one.
            assert_eq!(words(text, &env), expected, "{text}");
        }
        assert!(words("'a", &env).is_err());
        assert!(words("${A", &env).is_err());
    }
}
