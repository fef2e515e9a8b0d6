//! What a flag is: its names, the values it takes, what is wrong with a value.

/// Says whether a value is one; the error stands behind `invalid argument … flag:`.
pub type Check = fn(&str) -> Result<(), String>;

/// One flag of a command.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Long name without dashes.
    pub name: &'static str,
    /// Short name.
    pub short: Option<char>,
    /// Kind of value as help shows it; empty for a boolean.
    pub kind: &'static str,
    /// What is checked of each value.
    pub check: Check,
    /// Value when it is not given; empty means none.
    pub default: &'static str,
    /// Other long names, not shown.
    pub alias: Option<&'static str>,
    /// What it does, for help.
    pub about: &'static str,
    /// Whether help leaves it out.
    pub is_hidden: bool,
}

impl Flag {
    const fn new(name: &'static str, kind: &'static str, check: Check, about: &'static str) -> Self {
        Self { name, short: None, kind, check, default: "", alias: None, about, is_hidden: false }
    }

    /// On or off.
    pub const fn bool(name: &'static str, about: &'static str) -> Self {
        Self::new(name, "", check_bool, about)
    }

    /// A text.
    pub const fn text(name: &'static str, about: &'static str) -> Self {
        Self::new(name, "string", any, about)
    }

    /// Texts, each occurrence adds one.
    pub const fn list(name: &'static str, about: &'static str) -> Self {
        Self::new(name, "list", any, about)
    }

    /// A whole number.
    pub const fn int(name: &'static str, about: &'static str) -> Self {
        Self::new(name, "int", check_int, about)
    }

    /// A number of bytes with an optional unit.
    pub const fn bytes(name: &'static str, about: &'static str) -> Self {
        Self::new(name, "bytes", check_bytes, about)
    }

    /// A duration as Go writes it.
    pub const fn duration(name: &'static str, about: &'static str) -> Self {
        Self::new(name, "duration", check_duration, about)
    }

    /// `key=value` conditions on a listing.
    pub const fn filter() -> Self {
        Self::filter_without_short().short('f')
    }

    /// The same where `-f` means something else.
    pub const fn filter_without_short() -> Self {
        Self::list("filter", "Show only what meets a condition").kind("filter").check(check_filter)
    }

    /// Gives it a short name.
    pub const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    /// Checks each value.
    pub const fn check(mut self, check: Check) -> Self {
        self.check = check;
        self
    }

    /// Names the kind of value.
    pub const fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the value in force when it is not given.
    pub const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    /// Takes another long name, which help does not show.
    pub const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    /// Keeps it out of help.
    pub const fn hidden(mut self) -> Self {
        self.is_hidden = true;
        self
    }

    /// Whether it takes no value.
    pub const fn is_bool(&self) -> bool {
        self.kind.is_empty()
    }

    /// Both names as error texts show them: `-m, --memory`.
    pub fn shown(&self) -> String {
        self.short.map_or_else(|| format!("--{}", self.name), |short| format!("-{short}, --{}", self.name))
    }
}

const fn any(_: &str) -> Result<(), String> {
    Ok(())
}

/// Go's strconv.ParseBool.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn check_bool(text: &str) -> Result<(), String> {
    parse_bool(text).map(drop).ok_or_else(|| format!("strconv.ParseBool: parsing {}: invalid syntax", quote(text)))
}

/// Go's strconv.ParseInt with base 0.
pub fn parse_int(text: &str) -> Result<i64, String> {
    let invalid = |reason: &str| format!("strconv.ParseInt: parsing {}: {reason}", quote(text));
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = if let Some(hex) = lower.strip_prefix("0x") {
        (hex, 16)
    } else if let Some(octal) = lower.strip_prefix("0o") {
        (octal, 8)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        (binary, 2)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (&lower[1..], 8)
    } else {
        (lower.as_str(), 10)
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(invalid("invalid syntax"));
    }
    let signed = if negative { format!("-{digits}") } else { digits.to_owned() };
    i64::from_str_radix(&signed, radix).map_err(|_| invalid("value out of range"))
}

fn check_int(text: &str) -> Result<(), String> {
    parse_int(text).map(drop)
}

fn check_bytes(text: &str) -> Result<(), String> {
    corten_terminal::units::parse_binary_size(text).map(drop).map_err(|error| error.to_string())
}

fn check_duration(text: &str) -> Result<(), String> {
    parse_duration(text).map(drop)
}

fn check_filter(text: &str) -> Result<(), String> {
    if text.is_empty() || text.contains('=') {
        return Ok(());
    }
    Err("bad format of filter (expected name=value)".to_owned())
}

/// Go's time.ParseDuration, in nanoseconds.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (sign, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (-1.0, &text[1..]),
        Some(b'+') => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let value: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let letters = rest.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(rest.len());
        if letters == 0 {
            return Err(format!("time: missing unit in duration {}", quote(text)));
        }
        let unit = match &rest[..letters] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            other => return Err(format!("time: unknown unit {} in duration {}", quote(other), quote(text))),
        };
        rest = &rest[letters..];
        total += value * unit;
    }
    #[allow(clippy::cast_possible_truncation)] // saturates at 292 years
    Ok((sign * total) as i64)
}

/// Go's `%q`.
pub fn quote(text: &str) -> String {
    crate::template::quote(text)
}

#[cfg(test)]
mod tests {
    use super::{parse_duration, parse_int};

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        let check =
            |text: &str, expected: Result<i64, &str>| assert_eq!(parse_int(text), expected.map_err(str::to_owned));
        check("10", Ok(10));
        check("-1", Ok(-1));
        check("0x10", Ok(16));
        check("010", Ok(8));
        check("x", Err("strconv.ParseInt: parsing \"x\": invalid syntax"));
        check("99999999999999999999", Err("strconv.ParseInt: parsing \"99999999999999999999\": value out of range"));
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let check =
            |text: &str, expected: Result<i64, &str>| assert_eq!(parse_duration(text), expected.map_err(str::to_owned));
        check("1m30s", Ok(90_000_000_000));
        check("1.5h", Ok(5_400_000_000_000));
        check("0", Ok(0));
        check("1", Err("time: missing unit in duration \"1\""));
        check("1x", Err("time: unknown unit \"x\" in duration \"1x\""));
        check("", Err("time: invalid duration \"\""));
    }
}
