//! The image `hello`, which needs no registry: made from the program `corten-hello` at its first use.
//!
//! The image is one file. The program is looked for beside this one, then in the path.

use crate::cli::Cli;
use crate::failure::Failure;
use crate::progress;
use bytes::Bytes;
use corten_docker_api::client::{Method, Payload, Query};
use corten_types::Reference;
use std::path::{Path, PathBuf};

/// Name of the program and of the one file in the image.
const PROGRAM: &str = "corten-hello";

/// Largest program that is taken for ours; it is half a megabyte.
const LARGEST_BYTES: u64 = 64 << 20;

/// Whether `reference` is the image that is made here.
pub fn is_hello(reference: &Reference) -> bool {
    reference.digest().is_none() && reference.clone().or_latest().familiar() == "hello:latest"
}

/// Makes the image.
///
/// # Errors
/// When the program is nowhere, or the daemon refuses.
pub async fn make(cli: &Cli) -> Result<(), Failure> {
    let path = find().ok_or_else(|| {
        Failure::new(format!("make image hello:latest: {PROGRAM} stands neither beside this program nor in PATH"))
    })?;
    let wrong =
        |error: std::io::Error| Failure::new(format!("make image hello:latest: read {}: {error}", path.display()));
    if std::fs::metadata(&path).map_err(wrong)?.len() > LARGEST_BYTES {
        return Err(Failure::new(format!(
            "make image hello:latest: {} is larger than {LARGEST_BYTES} bytes",
            path.display()
        )));
    }
    let program = std::fs::read(&path).map_err(wrong)?;
    let query = Query::new()
        .with("fromSrc", "-")
        .with("repo", "hello")
        .with("tag", "latest")
        .with("message", "the program corten-hello")
        .with("changes", &format!("CMD [\"/{PROGRAM}\"]"));
    let archive = Bytes::from(archive(&program));
    let chunks = OneChunk(Some(archive));
    let payload = Payload::Stream { content_type: "application/x-tar", chunks: Box::pin(chunks) };
    let response = cli.client.send(Method::POST, &format!("/images/create{}", query.as_str()), payload).await?;
    progress::show(response.into_body(), progress::To::Nowhere).await?;
    cli.warn(&format!("Made image 'hello:latest' from {}", path.display()));
    Ok(())
}

struct OneChunk(Option<Bytes>);

impl futures_util::Stream for OneChunk {
    type Item = std::io::Result<Bytes>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.take().map(Ok))
    }
}

fn find() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
    let path = std::env::var_os("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|directory| directory.join(PROGRAM))
        .find(|path| path.is_file())
}

/// A tar archive (ustar, tar(5)) of one executable file.
fn archive(program: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 512;
    let mut header = [0_u8; BLOCK];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, PROGRAM);
    put(100, "0000755\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", program.len()));
    // No time: the same program always makes the same layer.
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\0");
    put(263, "00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());

    let mut archive = header.to_vec();
    archive.extend_from_slice(program);
    archive.resize(archive.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    archive
}

#[cfg(test)]
mod tests {
    use super::{archive, is_hello};

    #[test]
    fn only_the_bare_name_is_made_here() {
        let check = |name: &str, expected: bool| assert_eq!(is_hello(&name.parse().unwrap()), expected, "{name}");
        check("hello", true);
        check("hello:latest", true);
        check("docker.io/library/hello", true);
        check("hello:2", false);
        check("me/hello", false);
        check("hello-world", false);
    }

    #[test]
    fn the_archive_is_one_that_tar_reads() {
        let bytes = archive(b"program");
        assert_eq!(bytes.len(), 512 + 512 + 1024);
        let sum: u32 = bytes[..512]
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        assert_eq!(&bytes[148..154], format!("{sum:06o}").as_bytes());
        assert_eq!(&bytes[124..135], b"00000000007");
    }
}
