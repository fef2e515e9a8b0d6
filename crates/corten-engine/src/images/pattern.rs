//! Go's `path.Match`, by which docker filters references.

/// Whether a familiar name (`busybox:1.36`, `reg/a@sha256:…`) fits `pattern`, with its tag or without.
pub fn matches_reference(pattern: &str, name: &str) -> bool {
    let without_digest = name.split('@').next().unwrap_or(name);
    let without_tag = match without_digest.rsplit_once(':') {
        Some((bare, tag)) if !tag.contains('/') => bare,
        _ => without_digest,
    };
    matches(pattern, name) || matches(pattern, without_tag)
}

/// `*` and `?` stand for anything but a slash, `[a-z]` and `[^a]` for one character, `\` quotes. A
/// pattern that is none matches nothing.
pub fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // One place to go back to is enough: a later star takes over what an earlier one could try.
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
            continue;
        }
        if let Some(next) = one(&pattern, p, name[n]) {
            (p, n) = (next, n + 1);
            continue;
        }
        match star {
            Some((at, from)) if name[from] != '/' => {
                star = Some((at, from + 1));
                (p, n) = (at + 1, from + 1);
            }
            _ => return false,
        }
    }
    pattern[p..].iter().all(|character| *character == '*')
}

/// Where the pattern goes on after it matched `character` at `p`.
fn one(pattern: &[char], p: usize, character: char) -> Option<usize> {
    match pattern.get(p)? {
        '?' => (character != '/').then_some(p + 1),
        '\\' => (pattern.get(p + 1) == Some(&character)).then_some(p + 2),
        '[' => class(pattern, p + 1, character),
        literal => (*literal == character).then_some(p + 1),
    }
}

fn class(pattern: &[char], mut p: usize, character: char) -> Option<usize> {
    let is_negated = pattern.get(p) == Some(&'^');
    p += usize::from(is_negated);
    let mut is_in = false;
    let mut is_first = true;
    while is_first || pattern.get(p) != Some(&']') {
        is_first = false;
        let low = *pattern.get(p)?;
        let high = if pattern.get(p + 1) == Some(&'-') { *pattern.get(p + 2)? } else { low };
        p += if high == low && pattern.get(p + 1) != Some(&'-') { 1 } else { 3 };
        is_in |= (low..=high).contains(&character);
    }
    (is_in != is_negated && character != '/').then_some(p + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_gos() {
        for (pattern, name, fits) in [
            ("busy*", "busybox", true),
            ("*", "busybox", true),
            ("*", "a/b", false),
            ("*/b", "a/b", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("\\*", "*", true),
            ("[", "a", false),
            ("", "", true),
            ("**", "", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn a_reference_fits_with_or_without_its_tag() {
        for (pattern, name, fits) in [
            ("busybox", "busybox:1.36", true),
            ("busybox:1.*", "busybox:1.36", true),
            ("busybox:2*", "busybox:1.36", false),
            ("localhost:5000/a", "localhost:5000/a", true),
            ("busybox", "busybox@sha256:aa", true),
        ] {
            assert_eq!(matches_reference(pattern, name), fits, "{pattern} {name}");
        }
    }
}
