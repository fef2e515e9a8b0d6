//! Build script of the small programs: makes them static also when they are built for a glibc target.
//!
//! `make build` builds them for musl, which is static by itself. A plain `cargo build` targets glibc,
//! where rustc links `-lc` and `-lgcc_s` dynamically unless the whole build has `+crt-static` (which no
//! proc macro survives without `--target`). So this script puts linker scripts of those names, which
//! lead to the static archives, in front of the system's directories, and asks for a static PIE.

use std::{env, fs, path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=../static_link.rs");
    // The profile `static`, the one that is compiled for size, aborts on a panic: nobody looks up where to unwind to.
    // CARGO_CFG_PANIC does not say so.
    if env::var("OPT_LEVEL").as_deref() == Ok("s") {
        println!("cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    }
    if env::var("CARGO_CFG_TARGET_ENV").as_deref() != Ok("gnu") {
        return;
    }
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    let archives = [
        ("gcc_s", "libgcc_eh.a"),
        ("c", "libc.a"),
        ("m", "libm.a"),
        ("rt", "librt.a"),
        ("pthread", "libpthread.a"),
        ("util", "libutil.a"),
        ("dl", "libdl.a"),
    ];
    for (name, archive) in archives {
        let script = Path::new(&out).join(format!("lib{name}.a"));
        fs::write(&script, format!("INPUT({})\n", archive_path(archive))).expect("OUT_DIR is writable");
    }
    // For the programs only: a test of the same package is linked dynamically and must not find these.
    println!("cargo:rustc-link-arg-bins=-L{out}");
    println!("cargo:rustc-link-arg-bins=-static-pie");
}

/// Where the C compiler finds `archive`; its bare name when it does not know it.
fn archive_path(archive: &str) -> String {
    let output = Command::new("cc")
        .arg(format!("-print-file-name={archive}"))
        .output()
        .expect("a C compiler named cc is installed (Debian: apt-get install gcc)");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
