//! A memory allocator that never frees, for programs that live for milliseconds.
//!
//! musl's malloc parses a spec in 145–210 µs where this takes 28. The first block is a part of the program, which takes
//! no system call, and further ones come from mmap(2); the last allocation can grow in place, which is what strings
//! being built do.
//!
//! Between clone and exec nothing may allocate: [`forbid`] makes a debug build abort there, so that every test that
//! starts a container proves it.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

/// How much is asked of the kernel at once: what parsing a docker spec takes, three times over.
const BLOCK_BYTES: usize = 256 * 1024;

static FORBIDDEN: AtomicBool = AtomicBool::new(false);

/// From now on an allocation aborts the process, in debug builds.
pub fn forbid() {
    FORBIDDEN.store(true, Ordering::Relaxed);
}

struct Block {
    next: usize,
    end: usize,
    last: usize,
    /// From here on nothing was ever handed out, and everything is zero as mmap(2) left it.
    untouched: usize,
    /// The program's own block, until it is in use.
    first: Option<&'static FirstBlock>,
}

/// The allocator; for programs with exactly one thread.
pub struct Bump(UnsafeCell<Block>);

// SAFETY: the programs that choose this allocator have one thread for their whole life (ARCHITECTURE, "runtime
// process model"), so no two calls overlap.
unsafe impl Sync for Bump {}

impl Bump {
    /// An allocator that owns no memory yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(Block { next: 0, end: 0, last: 0, untouched: 0, first: None }))
    }

    /// The allocator of a program: it begins with `first`, which no other allocator has.
    #[must_use]
    pub const fn with(first: &'static FirstBlock) -> Self {
        Self(UnsafeCell::new(Block { next: 0, end: 0, last: 0, untouched: 0, first: Some(first) }))
    }
}

impl Default for Bump {
    fn default() -> Self {
        Self::new()
    }
}

/// A block that is a part of the program, zero and untouched at its start.
#[repr(align(4096))]
pub struct FirstBlock(UnsafeCell<[u8; BLOCK_BYTES]>);

// SAFETY: nobody but the one allocator that was made with it reaches into it.
unsafe impl Sync for FirstBlock {}

impl FirstBlock {
    /// A block of zeroes.
    #[must_use]
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; BLOCK_BYTES]))
    }
}

impl Default for FirstBlock {
    fn default() -> Self {
        Self::new()
    }
}

impl Block {
    fn take(&mut self, size: usize, align: usize) -> *mut u8 {
        if cfg!(debug_assertions) && FORBIDDEN.load(Ordering::Relaxed) {
            die();
        }
        let start = self.next.next_multiple_of(align);
        match start.checked_add(size) {
            Some(end) if end <= self.end && self.next != 0 => {
                (self.last, self.next) = (start, end);
                self.untouched = self.untouched.max(end);
                start as *mut u8
            }
            _ => self.take_from_new_block(size, align),
        }
    }

    fn take_from_new_block(&mut self, size: usize, align: usize) -> *mut u8 {
        let Some(wanted) = size.checked_add(align) else { return std::ptr::null_mut() };
        if let Some(first) = self.first.take_if(|_| wanted <= BLOCK_BYTES) {
            return self.begin(first.0.get() as usize, BLOCK_BYTES, size, align);
        }
        let length = wanted.max(BLOCK_BYTES).next_multiple_of(4096);
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new anonymous mapping at an address of the kernel's choice replaces nothing.
        let block = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
        if block == libc::MAP_FAILED {
            return std::ptr::null_mut();
        }
        self.begin(block as usize, length, size, align)
    }

    /// Goes on in a block of `length` bytes at `block`, which holds `size` bytes however they are aligned.
    fn begin(&mut self, block: usize, length: usize, size: usize, align: usize) -> *mut u8 {
        let start = block.next_multiple_of(align);
        (self.last, self.next, self.end) = (start, start + size, block + length);
        self.untouched = self.next;
        start as *mut u8
    }

    /// Grows or shrinks the last allocation where it stands; `false` when it must move.
    fn resize_in_place(&mut self, pointer: usize, old: usize, new: usize) -> bool {
        if pointer != self.last {
            return new <= old;
        }
        match pointer.checked_add(new) {
            Some(end) if end <= self.end => {
                self.next = end;
                self.untouched = self.untouched.max(end);
                true
            }
            _ => false,
        }
    }
}

/// Says why on standard error and aborts; may not format, which would allocate.
fn die() -> ! {
    let text = b"corten: memory was allocated between clone and exec\n";
    // SAFETY: pointer and length describe a literal.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
    // SAFETY: abort takes nothing and does not return.
    unsafe { libc::abort() }
}

// SAFETY: every block handed out is fresh memory of the size and alignment asked for, and is handed out once.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread, and no reference into the cell outlives a call.
        let block = unsafe { &mut *self.0.get() };
        block.take(layout.size(), layout.align())
    }

    unsafe fn dealloc(&self, _pointer: *mut u8, _layout: Layout) {}

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread, and no reference into the cell outlives a call.
        let block = unsafe { &mut *self.0.get() };
        let (untouched, end) = (block.untouched, block.end);
        let pointer = block.take(layout.size(), layout.align());
        // What a shrunk allocation gave back is used again; in a new block all is zero.
        let used = if block.end == end { untouched.saturating_sub(pointer as usize).min(layout.size()) } else { 0 };
        if !pointer.is_null() {
            // SAFETY: `take` returned that many writable bytes.
            unsafe { pointer.write_bytes(0, used) };
        }
        pointer
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: one thread, and no reference into the cell outlives a call.
        let block = unsafe { &mut *self.0.get() };
        if block.resize_in_place(pointer as usize, layout.size(), new_size) {
            return pointer;
        }
        let moved = block.take(new_size, layout.align());
        if !moved.is_null() {
            // SAFETY: the old block has `layout.size()` bytes, the new one `new_size`, and they do not overlap.
            unsafe { moved.copy_from_nonoverlapping(pointer, layout.size().min(new_size)) };
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeroed_memory_is_zero_also_where_something_was() {
        static FIRST: FirstBlock = FirstBlock::new();
        let bump = Bump::with(&FIRST);
        let layout = |size| Layout::from_size_align(size, 8).expect("a layout");
        // SAFETY: sizes are not zero, what is resized was handed out here, and every write stays within it.
        let used = unsafe { bump.alloc(layout(4096)) };
        // SAFETY: as above.
        unsafe { used.write_bytes(0xff, 4096) };
        // SAFETY: as above.
        unsafe { bump.realloc(used, layout(4096), 16) };
        for size in [64, 8192, 2 * BLOCK_BYTES] {
            // SAFETY: as above.
            let zeroed = unsafe { bump.alloc_zeroed(layout(size)) };
            // SAFETY: as above.
            let bytes = unsafe { std::slice::from_raw_parts(zeroed, size) };
            assert!(bytes.iter().all(|byte| *byte == 0), "{size}");
        }
    }
}
