//! Archives of other programs, and damaged ones.

use super::*;

/// Reads everything, as a caller would; what matters is that it ends, and in memory that is bounded.
fn read_to_end(bytes: &[u8]) -> Result<usize, ArchiveError> {
    let mut archive = Archive::new(bytes);
    let mut entries = 0;
    while archive.next_entry()?.is_some() {
        let mut buffer = [0; 4096];
        while archive.read_data(&mut buffer)? > 0 {}
        entries += 1;
    }
    Ok(entries)
}

fn run(script: &str) -> Vec<u8> {
    let output = std::process::Command::new("sh").args(["-c", script]).output().expect("sh is there");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn what_gnu_tar_writes_is_read() {
    let make = "d=$(mktemp -d -t corten-XXXXXX); cd $d; mkdir -p sub/$(printf %0120d 0); \
        printf hello > sub/$(printf %0120d 0)/$(printf %0100d 1); truncate -s 9M hole; printf x | dd of=hole bs=1 \
        seek=5000000 conv=notrunc status=none; ln -s $(printf %0150d 2) long; ln hole second;";
    for format in [
        "gnu",
        "posix",
        "gnu --sparse",
        "posix --sparse",
        "posix --sparse --sparse-version=0.1",
        "posix --sparse --sparse-version=0.0",
    ] {
        let bytes = run(&format!("{make} tar --format={format} -cf - . ; rm -rf $d"));
        let mut archive = Archive::new(&bytes[..]);
        let (mut sizes, mut longest, mut data) = (Vec::new(), 0, 0);
        while let Some(entry) = archive.next_entry().unwrap_or_else(|error| panic!("{format}: {error}")) {
            longest = longest.max(entry.path.len());
            let is_hole = entry.kind == Kind::File && entry.size == 9 << 20;
            if is_hole {
                sizes.push(entry.size);
                let segments = entry.segments.clone();
                assert_eq!(segments.is_some(), format.contains("sparse"), "{format}");
                if let Some(segments) = segments {
                    assert!(segments.iter().any(|(at, length)| (*at..at + length).contains(&5_000_000)), "{format}");
                }
            }
            data += archive.read_all(16 << 20).unwrap().len();
        }
        assert_eq!((sizes.len(), longest), (1, 2 + 4 + 120 + 1 + 100), "{format}");
        assert!(if format.contains("sparse") { data < 1 << 20 } else { data > 9 << 20 }, "{format}: {data}");
    }
}

#[test]
fn extension_headers_are_bounded() {
    let mut header = [0_u8; BLOCK];
    header[..4].copy_from_slice(b"long");
    header[124..136].copy_from_slice(b"77777777777\0");
    header[156] = b'x';
    header[148..156].fill(b' ');
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let error = read_to_end(&header).unwrap_err().to_string();
    assert!(error.contains("extension header of 8589934591 bytes is over the bound"), "{error}");
}

#[test]
fn damaged_archives_end_in_an_error_or_an_end() {
    let mut writer = crate::writer::Writer::new(Vec::new());
    for path in ["a".to_owned(), "b/".repeat(120) + "long"] {
        writer.append_bytes(&path, 0o644, b"data").unwrap();
    }
    let whole = writer.finish().unwrap();
    assert_eq!(read_to_end(&whole).unwrap(), 2);
    // Every byte of the headers turned into every of a few others, every length cut.
    for at in 0..whole.len() {
        for byte in [0, 0xff, b'9', b'x', b' '] {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            let _ = read_to_end(&damaged);
        }
        let _ = read_to_end(&whole[..at]);
    }
}
