//! Attributes of a message (netlink(7), `struct nlattr`): a list of kind and value.

/// Reads attributes one after the other, and ends at what is none.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Those in `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The value of the first of that kind.
    #[must_use]
    pub fn value(mut self, kind: u16) -> Option<&'a [u8]> {
        self.find_map(|(found, value)| (found == kind).then_some(value))
    }

    /// Those inside the first of that kind; none when there is none.
    #[must_use]
    pub fn nested(self, kind: u16) -> Self {
        Self(self.value(kind).unwrap_or_default())
    }

    /// The text of the first of that kind, without its NUL byte.
    #[must_use]
    pub fn text(self, kind: u16) -> Option<&'a str> {
        self.value(kind).and_then(text)
    }

    /// The number of the first of that kind, in the machine's order of bytes.
    #[must_use]
    pub fn number(self, kind: u16) -> Option<u32> {
        Some(u32::from_ne_bytes(self.value(kind)?.try_into().ok()?))
    }

    /// The number of the first of that kind, in the network's order of bytes.
    #[must_use]
    pub fn big(self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.value(kind)?.try_into().ok()?))
    }
}

/// A text up to its NUL byte.
#[must_use]
pub fn text(value: &[u8]) -> Option<&str> {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    std::str::from_utf8(&value[..end]).ok()
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        const KIND_MASK: u16 = 0x3fff;
        let &[low, high, kind_low, kind_high, ..] = self.0 else { return None };
        let length = usize::from(u16::from_ne_bytes([low, high]));
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([kind_low, kind_high]) & KIND_MASK, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_and_bad_ones_end_the_list() {
        let bytes = [8, 0, 1, 0, 7, 0, 0, 0, 5, 0, 2, 128, b'x', 0, 0, 0, 3, 0, 9, 0];
        let attributes = Attributes::new(&bytes);
        assert_eq!(attributes.number(1), Some(7));
        assert_eq!(attributes.text(2), Some("x"));
        assert_eq!(attributes.value(9), None);
        assert_eq!(attributes.count(), 2);
    }
}
