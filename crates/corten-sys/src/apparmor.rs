//! Whether the kernel confines programs by AppArmor profiles.

use std::fs;

/// Whether it is compiled in and switched on: the module's parameter, and its directory in securityfs.
#[must_use]
pub fn is_enabled() -> bool {
    fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.first() == Some(&b'Y'))
        && fs::metadata("/sys/kernel/security/apparmor").is_ok()
}
