//! Go's fmt: how values print, and `printf`.

use super::value::Value;

/// `%v` of a value that stands alone.
pub fn print(value: &Value) -> String {
    match value {
        Value::Absent => "<no value>".to_owned(),
        Value::Nil => "<nil>".to_owned(),
        Value::NilList => "[]".to_owned(),
        Value::NilMap => "map[]".to_owned(),
        Value::Omitted(value) => print(value),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => float(*value),
        Value::Text(text) => text.to_string(),
        Value::List(items) => format!("[{}]", joined(items.iter().map(print))),
        Value::Struct(fields) => format!("{{{}}}", joined(fields.iter().map(|(_, value)| print(value)))),
        Value::Map(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(|left, right| left.0.cmp(&right.0));
            format!("map[{}]", joined(sorted.iter().map(|(key, value)| format!("{key}:{}", print(value)))))
        }
        Value::Row(row) => format!("{{{}}}", row.type_name()),
        Value::Header(columns) => {
            format!("map[{}]", joined(columns.iter().map(|(key, value)| format!("{key}:{value}"))))
        }
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" ")
}

/// `%v` of a number: the shortest text that reads back, exponents from 1e21 on.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let exponent: i32 = scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    if value != 0.0 && !(-4..21).contains(&exponent) {
        return go_exponent(&scientific);
    }
    format!("{value}")
}

/// Rust's `1e21` as Go's `1e+21`.
fn go_exponent(text: &str) -> String {
    let Some((mantissa, exponent)) = text.split_once('e') else { return text.to_owned() };
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// Go's Print: a space between two operands when neither is a text.
pub fn print_all(values: &[Value]) -> String {
    let mut text = String::new();
    for (index, value) in values.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if index > 0 && !is_text(value) && !is_text(&values[index - 1]) {
            text.push(' ');
        }
        text.push_str(&print(value));
    }
    text
}

/// Go's Println: a space between all operands, and a newline.
pub fn print_line(values: &[Value]) -> String {
    format!("{}\n", joined(values.iter().map(print)))
}

#[derive(Default)]
struct Flags {
    minus: bool,
    plus: bool,
    zero: bool,
    space: bool,
    sharp: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Go's Sprintf.
pub fn printf(format: &str, values: &[Value]) -> String {
    let mut text = String::new();
    let mut letters = format.chars().peekable();
    let mut next = 0;
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let mut flags = Flags::default();
        while let Some(flag) = letters.next_if(|flag| "-+0 #".contains(*flag)) {
            match flag {
                '-' => flags.minus = true,
                '+' => flags.plus = true,
                '0' => flags.zero = true,
                ' ' => flags.space = true,
                _ => flags.sharp = true,
            }
        }
        let mut number = |letters: &mut std::iter::Peekable<std::str::Chars<'_>>| -> Option<usize> {
            if letters.next_if_eq(&'*').is_some() {
                let value = values.get(next).cloned();
                next += 1;
                return match value {
                    Some(Value::Int(value)) => usize::try_from(value).ok(),
                    _ => None,
                };
            }
            let mut digits = String::new();
            while let Some(digit) = letters.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            digits.parse().ok()
        };
        flags.width = number(&mut letters);
        if letters.next_if_eq(&'.').is_some() {
            flags.precision = Some(number(&mut letters).unwrap_or(0));
        }
        let Some(verb) = letters.next() else {
            text.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            text.push('%');
            continue;
        }
        let Some(value) = values.get(next) else {
            text.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        next += 1;
        text.push_str(&padded(&verb_text(verb, &flags, value), &flags, value));
    }
    if next < values.len() {
        let extra: Vec<_> =
            values[next..].iter().map(|value| format!("{}={}", type_name(value), print(value))).collect();
        text.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    text
}

fn padded(text: &str, flags: &Flags, value: &Value) -> String {
    let Some(width) = flags.width else { return text.to_owned() };
    let missing = width.saturating_sub(text.chars().count());
    if flags.minus {
        return format!("{text}{}", " ".repeat(missing));
    }
    let is_number = matches!(value, Value::Int(_) | Value::Float(_));
    if flags.zero && is_number {
        let (sign, digits) = match text.strip_prefix(['-', '+']) {
            Some(digits) => (&text[..1], digits),
            None => ("", text),
        };
        return format!("{sign}{}{digits}", "0".repeat(missing));
    }
    let fill = if flags.zero { "0" } else { " " };
    format!("{}{text}", fill.repeat(missing))
}

fn verb_text(verb: char, flags: &Flags, value: &Value) -> String {
    let signed = |negative: bool, digits: String| match () {
        () if negative => format!("-{digits}"),
        () if flags.plus => format!("+{digits}"),
        () if flags.space => format!(" {digits}"),
        () => digits,
    };
    let cut = |text: &str| flags.precision.map_or_else(|| text.to_owned(), |count| text.chars().take(count).collect());
    match (verb, value) {
        ('v' | 's', Value::Text(text)) if flags.sharp && verb == 'v' => quote(text),
        ('v' | 's', Value::Text(text)) => cut(text),
        ('v', Value::Int(value)) | ('d', Value::Int(value)) => signed(*value < 0, value.unsigned_abs().to_string()),
        ('v', Value::Float(value)) if flags.precision.is_none() => float(*value),
        ('v', Value::Absent) => "<nil>".to_owned(),
        ('v', value) => print(value),
        ('q', Value::Text(text)) => quote(text),
        ('q', Value::Int(value)) => {
            let letter = u32::try_from(*value).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
            format!("'{letter}'")
        }
        ('x', Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ('X', Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02X}")).collect(),
        ('x', Value::Int(value)) => {
            signed(*value < 0, format!("{}{:x}", if flags.sharp { "0x" } else { "" }, value.unsigned_abs()))
        }
        ('X', Value::Int(value)) => {
            signed(*value < 0, format!("{}{:X}", if flags.sharp { "0X" } else { "" }, value.unsigned_abs()))
        }
        ('o', Value::Int(value)) => signed(*value < 0, format!("{:o}", value.unsigned_abs())),
        ('b', Value::Int(value)) => signed(*value < 0, format!("{:b}", value.unsigned_abs())),
        ('c', Value::Int(value)) => {
            u32::try_from(*value).ok().and_then(char::from_u32).map(String::from).unwrap_or_default()
        }
        ('U', Value::Int(value)) => format!("U+{value:04X}"),
        ('t', Value::Bool(value)) => value.to_string(),
        ('f' | 'F', Value::Float(value)) => {
            signed(value.is_sign_negative(), format!("{:.*}", flags.precision.unwrap_or(6), value.abs()))
        }
        ('e', Value::Float(value)) => {
            signed(value.is_sign_negative(), go_exponent(&format!("{:.*e}", flags.precision.unwrap_or(6), value.abs())))
        }
        ('g', Value::Float(value)) => match flags.precision {
            Some(digits) => corten_terminal::units::significant(*value, digits.max(1)),
            None => float(*value),
        },
        ('T', value) => type_name(value).to_owned(),
        (verb, Value::List(items)) => format!("[{}]", joined(items.iter().map(|item| verb_text(verb, flags, item)))),
        (_, Value::Nil | Value::Absent) => format!("%!{verb}(<nil>)"),
        (_, Value::NilList) => "[]".to_owned(),
        (verb, value) => format!("%!{verb}({}={})", type_name(value), print(value)),
    }
}

/// The name Go has for the type of a value.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Absent | Value::Nil => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float64",
        Value::Text(_) => "string",
        Value::List(_) | Value::NilList => "[]interface {}",
        Value::Map(_) | Value::NilMap | Value::Struct(_) => "map[string]interface {}",
        Value::Omitted(value) => type_name(value),
        Value::Row(row) => row.type_name(),
        Value::Header(_) => "formatter.SubHeaderContext",
    }
}

/// Go's strconv.Quote.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\u{b}' => quoted.push_str("\\v"),
            letter if u32::from(letter) < 0x20 || letter == '\u{7f}' => {
                quoted.push_str(&format!("\\x{:02x}", u32::from(letter)))
            }
            letter if letter.is_control() || (letter.is_whitespace() && letter != ' ') => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(letter)))
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}
