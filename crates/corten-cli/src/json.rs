//! JSON text rearranged without being understood: numbers and order stay as they came.

/// The text without white space between values.
pub fn compact(text: &str) -> String {
    let mut compact = String::with_capacity(text.len());
    each(text, |letter, in_text| {
        if in_text || !letter.is_ascii_whitespace() {
            compact.push(letter);
        }
    });
    compact
}

/// The text with one value a line, each level moved in by `step`, every line but the first behind `prefix`.
pub fn indent(text: &str, prefix: &str, step: &str) -> String {
    let compact = compact(text);
    let mut lines = String::with_capacity(compact.len() * 2);
    let mut depth = 0_usize;
    let mut previous = ' ';
    let newline = |lines: &mut String, depth: usize| {
        lines.push('\n');
        lines.push_str(prefix);
        lines.extend(std::iter::repeat_n(step, depth));
    };
    each(&compact, |letter, in_text| {
        if in_text {
            if matches!(previous, '{' | '[') && depth > 0 {
                newline(&mut lines, depth);
            }
            lines.push(letter);
            previous = '"';
            return;
        }
        match letter {
            '}' | ']' => {
                depth -= 1;
                if !matches!(previous, '{' | '[') {
                    newline(&mut lines, depth);
                }
                lines.push(letter);
            }
            _ => {
                if matches!(previous, '{' | '[') {
                    newline(&mut lines, depth);
                }
                lines.push(letter);
                match letter {
                    '{' | '[' => depth += 1,
                    ',' => newline(&mut lines, depth),
                    ':' => lines.push(' '),
                    _ => {}
                }
            }
        }
        previous = letter;
    });
    lines
}

/// Calls `visit` with each letter and whether it belongs to a text (its quotes included).
fn each(text: &str, mut visit: impl FnMut(char, bool)) {
    let (mut in_text, mut escaped) = (false, false);
    for letter in text.chars() {
        let was_in_text = in_text;
        if in_text {
            match letter {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_text = false,
                _ => {}
            }
        } else if letter == '"' {
            in_text = true;
        }
        visit(letter, was_in_text || in_text);
    }
}

#[cfg(test)]
mod tests {
    use super::{compact, indent};

    #[test]
    fn order_and_numbers_stay() {
        assert_eq!(compact("{ \"b\" : 1.0 ,\n \"a b\": [ ] }"), "{\"b\":1.0,\"a b\":[]}");
    }

    #[test]
    fn texts_are_indented_as_go_indents_them() {
        let text = "{\"b\":1.0,\"a\":[],\"c\":{},\"d\":[\"x, {y}\",{\"e\":null}],\"f\":\"\\\"[\"}";
        let expected = "{\n    \"b\": 1.0,\n    \"a\": [],\n    \"c\": {},\n    \"d\": [\n        \"x, {y}\",\n        {\n            \"e\": null\n        }\n    ],\n    \"f\": \"\\\"[\"\n}";
        assert_eq!(indent(text, "", "    "), expected);
    }
}
