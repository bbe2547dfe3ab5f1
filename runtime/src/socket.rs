//! One accepted TCP connection, plain or under TLS, that its own task and its shard can both use.
//!
//! Promise: reading and writing need no exclusive access, so a shard can write to a socket whose task waits for it to
//! become readable. Whoever writes to a TLS socket names the connection's task as the one to wake: only one is.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::memory::{SOCKET_BYTES, TLS_BYTES};
use crate::rt::{TcpStream, end_of_stream};

/// A TCP stream whose first bytes were already read by someone else.
#[derive(Debug)]
pub(crate) struct Rewound {
    read_before: Bytes,
    tcp: TcpStream,
}

impl Rewound {
    pub(crate) fn new(tcp: TcpStream, read_before: Bytes) -> Self {
        Self { read_before, tcp }
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read_before.is_empty() {
            return Pin::new(&mut self.tcp).poll_read(cx, buf);
        }
        let count = self.read_before.len().min(buf.remaining());
        buf.put_slice(&self.read_before[..count]);
        self.read_before.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}

/// The stream below a TLS connection of either port.
pub(crate) type Tls = TlsStream<Rewound>;

/// A connection, plain or under TLS.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<RefCell<Tls>>),
}

impl Socket {
    pub(crate) fn tls(stream: Tls) -> Self {
        Self::Tls(Box::new(RefCell::new(stream)))
    }

    /// The heap it takes with the task that serves it.
    pub(crate) fn room(&self) -> usize {
        match self {
            Self::Plain(_) => SOCKET_BYTES,
            Self::Tls(_) => SOCKET_BYTES + TLS_BYTES,
        }
    }

    /// Reads what is there; 0 is the end of the stream.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(tcp) => loop {
                ready!(tcp.poll_read_ready(cx))?;
                match tcp.try_read(buf) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Ok(count) if count > 0 && count < buf.len() => {
                        // There was no more, so the next read has to wait: known without asking the kernel.
                        let _ = tcp.try_io(Interest::READABLE, nothing_left);
                        return Poll::Ready(Ok(count));
                    }
                    done => return Poll::Ready(done),
                }
            },
            Self::Tls(tls) => {
                let mut buf = ReadBuf::new(buf);
                ready!(Pin::new(&mut *tls.borrow_mut()).poll_read(cx, &mut buf))?;
                Poll::Ready(Ok(buf.filled().len()))
            }
        }
    }

    /// Writes at once what the kernel takes at once. `WouldBlock`: the connection's task has to write, when it can.
    pub(crate) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            (Self::Plain(tcp), [one]) => tcp.try_write(one),
            (Self::Plain(tcp), many) => tcp.try_write_vectored(many),
            (Self::Tls(_), _) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Writes when it can.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(tcp) => loop {
                ready!(tcp.poll_write_ready(cx))?;
                match self.try_write(slices) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    done => return Poll::Ready(done),
                }
            },
            Self::Tls(tls) => Pin::new(&mut *tls.borrow_mut()).poll_write_vectored(cx, slices),
        }
    }

    /// Pushes out what the TLS layer holds.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => Pin::new(&mut *tls.borrow_mut()).poll_flush(cx),
        }
    }

    /// Tells the peer that nothing more follows: end of stream on TCP, nothing else.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => end_of_stream(tcp),
            Self::Tls(tls) => end_of_stream(&tls.borrow().get_ref().0.tcp),
        }
    }
}

/// What a read says when there is nothing to read.
fn nothing_left() -> io::Result<()> {
    Err(io::ErrorKind::WouldBlock.into())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn bytes_read_before_come_first() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        client.write_all(b" world").await.unwrap();
        client.shutdown().await.unwrap();
        let mut text = String::new();
        let mut stream = Rewound::new(server, Bytes::from_static(b"hello"));
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello world");
    }
}
