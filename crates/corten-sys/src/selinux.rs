//! Whether the kernel confines programs by SELinux labels.

use crate::files;

/// selinuxfs (linux/magic.h, `SELINUX_MAGIC`), where every distribution mounts it.
const SELINUX_MAGIC: i64 = 0xf97c_ff8c;

/// Whether a policy can be loaded, and has been: a process without one is labelled `kernel`.
#[must_use]
pub fn is_enabled() -> bool {
    files::filesystem_type_at(c"/sys/fs/selinux").is_ok_and(|found| found == SELINUX_MAGIC)
        && files::read_small(c"/proc/self/attr/current").is_ok_and(|label| has_policy(&label))
}

fn has_policy(label: &[u8]) -> bool {
    let label = label.trim_ascii_end();
    let label = label.strip_suffix(b"\0").unwrap_or(label);
    !label.is_empty() && label != b"kernel"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_tells_whether_a_policy_is_loaded() {
        for (label, expected) in [
            (b"system_u:system_r:init_t:s0\0".as_slice(), true),
            (b"kernel\0", false),
            (b"kernel\n", false),
            (b"", false),
        ] {
            assert_eq!(has_policy(label), expected, "{label:?}");
        }
    }
}
