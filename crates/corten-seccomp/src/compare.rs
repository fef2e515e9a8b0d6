//! What a rule asks of an argument.

use crate::arch::Arch;
use crate::profile::{Argument, ProfileError};

/// The names the specification has, sorted.
pub const NAMES: [&str; 7] =
    ["SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"];

/// How two numbers are compared, without a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Greater or equal.
    GreaterOrEqual,
    /// Greater.
    Greater,
    /// Less or equal.
    LessOrEqual,
    /// Less.
    Less,
    /// Equal in the bits of the mask.
    MaskedEqual,
    /// Not equal.
    NotEqual,
}

/// What must hold about one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, from 0 to 5.
    pub index: u8,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
    /// The bits that are looked at by [`Comparison::MaskedEqual`].
    pub mask: u64,
}

/// System calls have six arguments.
const ARGUMENTS: u32 = 6;

impl Condition {
    /// What `argument` asks.
    ///
    /// # Errors
    /// [`ProfileError`]: no such comparison, or no such argument.
    pub fn new(key: &str, argument: &Argument) -> Result<Self, ProfileError> {
        let comparison = match argument.op.as_str() {
            "SCMP_CMP_EQ" => Comparison::Equal,
            "SCMP_CMP_GE" => Comparison::GreaterOrEqual,
            "SCMP_CMP_GT" => Comparison::Greater,
            "SCMP_CMP_LE" => Comparison::LessOrEqual,
            "SCMP_CMP_LT" => Comparison::Less,
            "SCMP_CMP_MASKED_EQ" => Comparison::MaskedEqual,
            "SCMP_CMP_NE" => Comparison::NotEqual,
            other => return Err(ProfileError::new(key, format!("{other:?} is no comparison"))),
        };
        let index = u8::try_from(argument.index).ok().filter(|index| u32::from(*index) < ARGUMENTS);
        let Some(index) = index else {
            return Err(ProfileError::new(key, format!("argument {} does not exist: there are six", argument.index)));
        };
        let (value, mask) = match comparison {
            Comparison::MaskedEqual => (argument.value_two, argument.value),
            _ => (argument.value, u64::MAX),
        };
        Ok(Self { index, comparison, value, mask })
    }

    /// That the argument `index` is `value`.
    #[must_use]
    pub const fn equals(index: u8, value: u64) -> Self {
        Self { index, comparison: Comparison::Equal, value, mask: u64::MAX }
    }

    /// Whether it holds for a call of `arch` with these arguments.
    #[must_use]
    pub fn holds(&self, arch: Arch, arguments: &[u64; 6]) -> bool {
        let bits = if arch.has_wide_arguments() { u64::MAX } else { u64::from(u32::MAX) };
        let (argument, value) = (arguments[usize::from(self.index)] & bits, self.value & bits);
        match self.comparison {
            Comparison::Equal => argument == value,
            Comparison::GreaterOrEqual => argument >= value,
            Comparison::Greater => argument > value,
            Comparison::LessOrEqual => argument <= value,
            Comparison::Less => argument < value,
            Comparison::MaskedEqual => argument & self.mask == value,
            Comparison::NotEqual => argument != value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_is_of_64_bits_where_arguments_have_them() {
        let condition = |op: &str, value, value_two| {
            let argument = Argument { index: 1, value, value_two, op: op.to_owned() };
            Condition::new("a", &argument).expect(op)
        };
        for (op, value, second, argument, wide, narrow) in [
            ("SCMP_CMP_EQ", 1, 0, 1 << 32 | 1, false, true),
            ("SCMP_CMP_NE", 1, 0, 1 << 32 | 1, true, false),
            ("SCMP_CMP_GT", 5, 0, 1 << 32, true, false),
            ("SCMP_CMP_GE", 5, 0, 5, true, true),
            ("SCMP_CMP_LT", 5, 0, 1 << 32, false, true),
            ("SCMP_CMP_LE", 5, 0, 6, false, false),
            ("SCMP_CMP_MASKED_EQ", 0xff, 0x12, 0x3412, true, true),
            ("SCMP_CMP_MASKED_EQ", 0xff, 0x112, 0x3412, false, false),
        ] {
            let found = condition(op, value, second);
            let arguments = [0, argument, 0, 0, 0, 0];
            assert_eq!(found.holds(Arch::X86_64, &arguments), wide, "{op}");
            assert_eq!(found.holds(Arch::X86, &arguments), narrow, "{op}");
        }
        assert!(NAMES.is_sorted());
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        for (index, op, problem) in [
            (6, "SCMP_CMP_EQ", "a: argument 6 does not exist: there are six"),
            (0, "SCMP_CMP_LIKE", "a: \"SCMP_CMP_LIKE\" is no comparison"),
        ] {
            let argument = Argument { index, op: op.to_owned(), ..Argument::default() };
            assert_eq!(Condition::new("a", &argument).expect_err(op).to_string(), problem);
        }
    }
}
