//! Matches a path against a route's pattern.

use crate::http::query::decode_component;

/// The variable parts of `path`, when it fits `pattern`.
pub fn captures(pattern: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let mut params = Vec::new();
    let wanted: Vec<&'static str> = pattern.split('/').collect();
    let given: Vec<&str> = path.split('/').collect();
    fits(&wanted, &given, &mut params).then_some(params)
}

fn fits(wanted: &[&'static str], given: &[&str], params: &mut Vec<(&'static str, String)>) -> bool {
    let Some((first, later)) = wanted.split_first() else { return given.is_empty() };
    if let Some(name) = first.strip_prefix('{').and_then(|rest| rest.strip_suffix("...}")) {
        // As many segments as leave enough for what follows; nothing ambiguous follows in our table.
        let Some(count) = given.len().checked_sub(later.len()).filter(|count| *count > 0) else { return false };
        let (taken, rest) = given.split_at(count);
        params.push((name, decode_component(&taken.join("/"), false)));
        return taken.iter().all(|segment| !segment.is_empty()) && fits(later, rest, params);
    }
    let Some((segment, rest)) = given.split_first() else { return false };
    match first.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) if !segment.is_empty() => params.push((name, decode_component(segment, false))),
        None if first == segment => {}
        _ => return false,
    }
    fits(later, rest, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_slashes_and_escapes_are_captured() {
        let check = |pattern, path| {
            captures(pattern, path).map(|params| params.into_iter().map(|(_, value)| value).collect::<Vec<_>>())
        };
        assert_eq!(check("/containers/{id}/json", "/containers/a%20b/json"), Some(vec!["a b".to_owned()]));
        assert_eq!(check("/containers/{id}/json", "/containers//json"), None);
        assert_eq!(check("/containers/{id}/json", "/containers/a/b/json"), None);
        assert_eq!(check("/images/{name...}/json", "/images/reg:5000/a/b/json"), Some(vec!["reg:5000/a/b".to_owned()]));
        assert_eq!(check("/images/{name...}/json", "/images/json"), None);
        assert_eq!(check("/images/json", "/images/json"), Some(vec![]));
    }
}
