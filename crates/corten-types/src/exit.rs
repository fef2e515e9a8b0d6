//! How a process ended.

/// Exit status as shells, runc and containerd count it: the exit code, or 128 + the signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExitStatus(u32);

impl ExitStatus {
    /// What is reported for a process whose true status nobody can know any more (killed with its shim).
    pub const LOST: Self = Self(137);

    /// Of a process that called exit.
    pub const fn exited(code: u8) -> Self {
        Self(code as u32)
    }

    /// Of a process that a signal ended.
    pub const fn signaled(signal: u8) -> Self {
        Self(128 + signal as u32)
    }

    /// From the number on the wire.
    pub const fn from_code(code: u32) -> Self {
        Self(code)
    }

    /// The number on the wire.
    pub const fn code(self) -> u32 {
        self.0
    }
}
