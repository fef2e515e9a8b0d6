//! The OCI runtime (runc).

#![no_main]

/// The program lives for milliseconds and has one thread: memory is never given back.
#[global_allocator]
static MEMORY: corten_runtime::Memory = corten_runtime::Memory::with(&FIRST_BLOCK);

static FIRST_BLOCK: corten_runtime::FirstBlock = corten_runtime::FirstBlock::new();

corten_runtime::entry!(corten_runtime::cli::main);
