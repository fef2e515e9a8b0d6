//! Linux system calls as safe functions, one file per man-page family.
