//! The C library's allocator (mallopt(3)), for daemons that are idle nearly always.

/// Keeps freed memory from staying with the process. To be called before there are threads. musl does so by itself.
pub fn give_back_early() {
    #[cfg(target_env = "gnu")]
    {
        /// From this size on an allocation is a mapping of its own, and gone when it is freed. The C library raises its own
        /// limit with each one that is freed: buffers would stay in the heap, and the heap as large as it ever was.
        const MAPPED_BYTES: libc::c_int = 128 * 1024;
        /// Heaps of one process. The library makes eight for each processor, and what is freed in one is of no use to
        /// another.
        const HEAPS: libc::c_int = 2;
        let options = [
            (libc::M_ARENA_MAX, HEAPS),
            (libc::M_MMAP_THRESHOLD, MAPPED_BYTES),
            (libc::M_TRIM_THRESHOLD, MAPPED_BYTES),
        ];
        for (option, value) in options {
            // SAFETY: mallopt takes two integers and changes how later allocations are made.
            unsafe { libc::mallopt(option, value) };
        }
    }
}
