//! The calling conventions a filter tells apart. One machine has several: what a 64-bit x86 program calls by one
//! number, a 32-bit program on the same kernel calls by another.

use crate::profile::ProfileError;

/// A calling convention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86.
    X86,
    /// 32-bit pointers on 64-bit x86: the kernel calls it x86-64, and bit 30 of the number tells it apart.
    X32,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM (EABI).
    Arm,
}

/// The bit in an x32 call's number (`__X32_SYSCALL_BIT`).
pub const X32_BIT: u32 = 0x4000_0000;

/// Architectures the specification names and there is no table of numbers for.
const WITHOUT_TABLE: [&str; 15] = [
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
];

impl Arch {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Self; 5] = [Self::X86_64, Self::X86, Self::X32, Self::Aarch64, Self::Arm];

    /// What this program was compiled for; `None` where there is no table.
    #[must_use]
    pub const fn native() -> Option<Self> {
        if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "x86") {
            Some(Self::X86)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Aarch64)
        } else if cfg!(target_arch = "arm") {
            Some(Self::Arm)
        } else {
            None
        }
    }

    /// The specification's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "SCMP_ARCH_X86_64",
            Self::X86 => "SCMP_ARCH_X86",
            Self::X32 => "SCMP_ARCH_X32",
            Self::Aarch64 => "SCMP_ARCH_AARCH64",
            Self::Arm => "SCMP_ARCH_ARM",
        }
    }

    /// The architecture of that name.
    ///
    /// # Errors
    /// [`ProfileError`]: there is none, or none with a table.
    pub fn named(name: &str) -> Result<Self, ProfileError> {
        let found = Self::ALL.into_iter().find(|arch| arch.name() == name);
        found.ok_or_else(|| {
            let what = if WITHOUT_TABLE.contains(&name) { "is not supported yet" } else { "is no architecture" };
            ProfileError::new("linux.seccomp.architectures", format!("{name:?} {what}"))
        })
    }

    /// What the kernel calls it (linux/audit.h, `AUDIT_ARCH_…`).
    #[must_use]
    pub const fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// Whether arguments are compared in 64 bits. On x32, as on 32-bit machines, the upper halves are not looked at,
    /// as libseccomp does.
    #[must_use]
    pub const fn has_wide_arguments(self) -> bool {
        matches!(self, Self::X86_64 | Self::Aarch64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_architecture_is_found_by_its_name_or_refused_by_it() {
        for arch in Arch::ALL {
            assert_eq!(Arch::named(arch.name()).expect("known"), arch);
        }
        for (name, problem) in [
            ("SCMP_ARCH_S390X", "linux.seccomp.architectures: \"SCMP_ARCH_S390X\" is not supported yet"),
            ("amd64", "linux.seccomp.architectures: \"amd64\" is no architecture"),
        ] {
            assert_eq!(Arch::named(name).expect_err(name).to_string(), problem);
        }
    }
}
