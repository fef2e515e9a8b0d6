//! Error texts that clients match on, and ids. Each constant names who matches it.

/// containerd 1.6 and 2.x, `kill`: answers NotFound.
pub const NOT_RUNNING: &str = "container not running";
/// containerd, any verb: answers NotFound.
pub const DOES_NOT_EXIST: &str = "container does not exist";
/// containerd, `create`: answers AlreadyExists.
pub const ID_IN_USE: &str = "container with given ID already exists";
/// go-runc's callers and runc's own suite.
pub const INVALID_ID: &str = "invalid container ID format";
/// runc's suite, `resume`.
pub const NOT_PAUSED: &str = "container not paused";
/// runc's suite, `pause`.
pub const NOT_RUNNING_OR_CREATED: &str = "container not running or created";
/// runc's suite, `exec`.
pub const EXEC_STOPPED: &str = "cannot exec in a stopped container";
/// runc's suite, `exec`.
pub const EXEC_PAUSED: &str = "cannot exec in a paused container (use --ignore-paused to override)";
/// runc's suite, `start`.
pub const START_RUNNING: &str = "cannot start an already running container";
/// runc's suite, `start`.
pub const START_STOPPED: &str = "cannot start a container that has stopped";
/// runc's suite, `delete`.
pub const INIT_STILL_RUNNING: &str = "container init still running";
/// Podman and BuildKit show it: the limit is too small to start in.
pub const OOM_KILLED: &str = "container init was OOM-killed (memory limit too low?)";
/// runc's suite.
pub const TTY_WITHOUT_SOCKET: &str = "cannot allocate tty if runc will detach without setting console socket";
/// runc's suite.
pub const SOCKET_WITHOUT_TTY: &str = "cannot use console socket if runc will not detach or allocate tty";
/// runc's suite.
pub const NO_PROCESS: &str = "process property must not be empty";
/// Users and groups that no process can be given.
pub const IDS_OUT_OF_RANGE: &str = "uids and gids must be in range 0-2147483647";
/// Who may do nothing without them.
pub const ROOTLESS_WITHOUT_USERS: &str = "rootless container requires user namespaces";
/// runc's suite.
pub const NO_ARGS: &str = "args must not be empty";
/// runc's suite.
pub const CWD_NOT_ABSOLUTE: &str = "Cwd must be an absolute path";
/// dockerd, in an error of create or exec: exit code 127.
pub const NOT_IN_PATH: &str = "executable file not found in $PATH";

/// The longest id: a file name that is still a file name with a suffix of ours.
const ID_MAX_BYTES: usize = 200;

/// Whether `id` may name a container: letters, digits and `_+.-`, neither `.` nor `..`, at most 200 bytes.
#[must_use]
pub fn is_valid_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte);
    !id.is_empty() && id.len() <= ID_MAX_BYTES && id != "." && id != ".." && id.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_be_a_path() {
        for id in ["web", "a.b", "..a", "0_+.-"] {
            assert!(is_valid_id(id), "{id}");
        }
        for id in ["", ".", "..", "a/b", "../x", "a\nb", "é", "a b", &"x".repeat(201)] {
            assert!(!is_valid_id(id), "{id}");
        }
    }
}
