//! A `main` without the standard library's preparations: for a program that lives for milliseconds and starts twice.
//!
//! Those preparations (a stack for overflows, handlers of SIGSEGV and SIGBUS, a look at the standard streams) are eleven
//! system calls at each start. Without them SIGPIPE is not ignored and `std::env::args` may be empty: the program is
//! handed its arguments.

use std::ffi::{CStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStringExt;

/// Defines the program's `main` as `fn(Vec<OsString>) -> u8`, arguments (with the program's name) to exit status. The
/// program's file has `#![no_main]`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        // SAFETY: nothing else in a program is named main.
        #[unsafe(no_mangle)]
        extern "C" fn main(count: core::ffi::c_int, vector: *const *const core::ffi::c_char) -> core::ffi::c_int {
            // SAFETY: the C library calls main once, with what it was given by the kernel.
            let arguments = unsafe { $crate::entry::arguments(count, vector) };
            core::ffi::c_int::from($main(arguments))
        }
    };
}

/// The strings of `vector`.
///
/// # Safety
/// `vector` holds `count` pointers to NUL-terminated strings, as main(3) is given them.
#[must_use]
pub unsafe fn arguments(count: c_int, vector: *const *const c_char) -> Vec<OsString> {
    let count = usize::try_from(count).unwrap_or_default();
    // SAFETY: the caller vouches for the vector.
    let vector = unsafe { std::slice::from_raw_parts(vector, count) };
    let copy = |string: &*const c_char| {
        // SAFETY: the caller vouches for the strings.
        let string = unsafe { CStr::from_ptr(*string) };
        OsString::from_vec(string.to_bytes().to_vec())
    };
    vector.iter().map(copy).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_taken_as_they_are() {
        let vector = [c"runc".as_ptr(), c"".as_ptr(), c"a\xffb".as_ptr()];
        // SAFETY: three pointers to strings.
        let taken = unsafe { arguments(3, vector.as_ptr()) };
        assert_eq!(taken, [b"runc".to_vec(), Vec::new(), b"a\xffb".to_vec()].map(OsString::from_vec));
    }
}
