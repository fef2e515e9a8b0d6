//! The connection below HTTP: a unix or a TCP stream.

use super::{ClientError, Host};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connected stream to the daemon.
#[derive(Debug)]
pub enum Socket {
    /// Over a unix socket.
    Unix(UnixStream),
    /// Over TCP.
    Tcp(TcpStream),
}

/// Longest path that fits `sockaddr_un` (unix(7): 108 bytes with the terminating zero).
const LONGEST_SOCKET_PATH: usize = 107;

/// Opens a connection to `host`.
pub(super) async fn connect(host: &Host) -> Result<Socket, ClientError> {
    let result = match host {
        Host::Unix(path) if path.as_os_str().len() > LONGEST_SOCKET_PATH => {
            connect_through_directory(path).await.map(Socket::Unix)
        }
        Host::Unix(path) => UnixStream::connect(path).await.map(Socket::Unix),
        Host::Tcp { host, port } => TcpStream::connect((host.as_str(), *port)).await.map(Socket::Tcp),
    };
    result.map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => ClientError::Permission { host: host.to_string(), source },
        _ => ClientError::Connect { host: host.to_string(), source },
    })
}

/// A path too long for the kernel is reached through a descriptor of its directory.
async fn connect_through_directory(path: &std::path::Path) -> io::Result<UnixStream> {
    use std::os::fd::AsRawFd;
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let directory = std::fs::File::open(directory)?;
    let short = std::path::Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    UnixStream::connect(short).await
}

fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    /// A daemon that refuses an upload answers and closes before it has read everything. What can no
    /// longer be sent is dropped, so that its answer is read instead of a broken pipe reported.
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        match written {
            Poll::Ready(Err(error)) if is_closed(&error) => Poll::Ready(Ok(bytes.len())),
            written => written,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    /// Half-closes: the daemon sees the end of input, output still comes.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
