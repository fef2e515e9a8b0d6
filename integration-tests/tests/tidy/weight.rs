//! The static programs: what they must not contain, that they need no loader, and how big they may be.

use std::{fs, path::Path};

use integration_tests::programs;

use crate::sources;

/// Package, program, the most its release build may take (BUDGETS.md), in bytes.
const STATIC: [(&str, &str, u64); 4] = [
    ("corten-shim-bin", "corten-shim", 2_500_000),
    ("corten-runtime-bin", "corten-runtime", 1_500_000),
    ("corten-proxy-bin", "corten-proxy", 800_000),
    ("corten-hello-bin", "corten-hello", 600_000),
];
/// Crates that would multiply their size or their threads.
const NEVER: [&str; 7] = ["tonic", "hyper", "h2", "rustls", "regex", "oci-spec", "regex-automata"];

#[test]
fn static_programs_contain_nothing_heavy() {
    for (package, _, _) in STATIC {
        let tree = sources::cargo(&["tree", "-p", package, "-e", "normal", "--prefix", "none", "-f", "{p}"]);
        let found: Vec<&str> =
            tree.lines().filter_map(|line| line.split(' ').next()).filter(|name| NEVER.contains(name)).collect();
        assert!(found.is_empty(), "{package} contains {found:?}");
        let tree = sources::cargo(&["tree", "-p", package, "-e", "normal", "--prefix", "none", "-f", "{p} {f}"]);
        let tokio = tree.lines().find(|line| line.starts_with("tokio v"));
        assert!(!tokio.is_some_and(|line| line.contains("rt-multi-thread")), "{package} has a multi-threaded tokio");
    }
}

#[test]
fn static_programs_need_no_loader() {
    let release = programs::directory().parent().map(|target| target.join("release"));
    for (_, program, _) in STATIC {
        assert_static(&programs::path(program));
        // Whatever is there of a release build: `make build` makes it for musl, a plain `cargo build --release` for glibc.
        let built = release.as_ref().map(|release| release.join(program)).filter(|path| path.is_file());
        if let Some(path) = built {
            assert_static(&path);
        }
    }
}

#[test]
fn static_programs_keep_their_size() {
    let Some(release) = programs::directory().parent().map(|target| target.join("release")) else { return };
    for (_, program, most) in STATIC {
        // Unstripped or unoptimised ones say nothing; only what `make build` left is measured.
        let Ok(metadata) = fs::metadata(release.join(program)) else { continue };
        assert!(metadata.len() <= most, "{program} is {} bytes, more than {most}", metadata.len());
    }
}

/// Reads the program headers (elf(5)): a dynamically linked program names its loader in PT_INTERP.
fn assert_static(path: &Path) {
    const PT_INTERP: u32 = 3;
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
    assert_eq!(bytes.get(..5), Some(&b"\x7fELF\x02"[..]), "{} is no 64-bit ELF file", path.display());
    let number = |at: usize, length: usize| {
        let mut value = [0; 8];
        value[..length].copy_from_slice(&bytes[at..at + length]);
        u64::from_le_bytes(value) as usize
    };
    let (table, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    assert!(count > 0, "{} has no program headers", path.display());
    for index in 0..count {
        let kind = number(table + index * size, 4) as u32;
        assert_ne!(kind, PT_INTERP, "{} is dynamically linked", path.display());
    }
}
