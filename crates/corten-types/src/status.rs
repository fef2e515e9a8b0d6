//! What a task is doing (containerd's `containerd.v1.types.Status`).

/// A task's status, as every layer names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskStatus {
    /// Not known to the shim.
    Unknown,
    /// Init waits for start.
    Created,
    /// Init runs.
    Running,
    /// Init has ended; the record remains until delete.
    Stopped,
    /// Frozen.
    Paused,
    /// Being frozen.
    Pausing,
}

impl TaskStatus {
    /// The number on the wire.
    pub const fn wire(self) -> i32 {
        match self {
            Self::Unknown => 0,
            Self::Created => 1,
            Self::Running => 2,
            Self::Stopped => 3,
            Self::Paused => 4,
            Self::Pausing => 5,
        }
    }

    /// The status a peer meant; unknown numbers are [`TaskStatus::Unknown`].
    pub const fn from_wire(number: i32) -> Self {
        match number {
            1 => Self::Created,
            2 => Self::Running,
            3 => Self::Stopped,
            4 => Self::Paused,
            5 => Self::Pausing,
            _ => Self::Unknown,
        }
    }

    /// runtime-spec's and runc's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Created => "created",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
            Self::Pausing => "pausing",
        }
    }
}
