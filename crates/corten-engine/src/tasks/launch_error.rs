//! Why a process could not be launched, as the exit code a shell would have shown.

use corten_types::ErrorKind;

use crate::errors::EngineError;

/// The command is there and cannot be run.
const CANNOT_RUN: u32 = 126;
/// The command is not there.
const NOT_FOUND: u32 = 127;
/// Anything else.
const UNKNOWN: u32 = 128;

/// Go's text for `EACCES`; docker's CLI looks for it to exit with 126.
const PERMISSION_DENIED: &str = "permission denied";

/// The exit code that goes with the runtime's complaint, and the error for the client: its text
/// tells docker's CLI which code to exit with, and its kind is 400 for what the caller can mend.
pub fn classify(error: EngineError) -> (u32, EngineError) {
    let text = error.message();
    let lower = text.to_lowercase();
    let has = |part: &str| lower.contains(part);
    match () {
        () if has(PERMISSION_DENIED) => (CANNOT_RUN, EngineError::invalid(text)),
        // Go says "is a directory" where the shell's word would be the other one.
        () if has("is a directory") => (CANNOT_RUN, EngineError::invalid(format!("{text}: {PERMISSION_DENIED}"))),
        () if has("not a directory") => (
            NOT_FOUND,
            EngineError::invalid(format!(
                "{text}: Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type"
            )),
        ),
        () if has("executable file not found")
            || has("no such file or directory")
            || has("system cannot find the file specified") =>
        {
            (NOT_FOUND, EngineError::invalid(text))
        }
        () if is_answer(error.kind()) => (UNKNOWN, error),
        () => (UNKNOWN, EngineError::internal(text)),
    }
}

/// Refusals of our own, before anything was launched: their status stands.
const fn is_answer(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::InvalidArgument
            | ErrorKind::Conflict
            | ErrorKind::NotFound
            | ErrorKind::Unavailable
            | ErrorKind::PermissionDenied
            | ErrorKind::Unimplemented
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_complaint_decides_the_exit_code() {
        for (text, code, status) in [
            ("exec: \"nope\": executable file not found in $PATH: unknown", 127, 400),
            ("exec: \"/x\": stat /x: no such file or directory", 127, 400),
            ("exec: \"/etc/passwd\": permission denied", 126, 400),
            ("exec: \"/etc\": is a directory", 126, 400),
            ("mount: not a directory", 127, 400),
            ("the shim is gone", 128, 500),
        ] {
            let (found, error) = classify(EngineError::internal(text));
            assert_eq!((found, error.kind().http_status()), (code, status), "{text}");
        }
        let joined = "cannot join network namespace of a non running container";
        let (code, error) = classify(EngineError::conflict(joined));
        assert_eq!((code, error.kind().http_status()), (128, 409));
        let (_, error) = classify(EngineError::internal("exec: \"/etc\": is a directory"));
        assert!(error.message().ends_with("is a directory: permission denied"));
    }
}
