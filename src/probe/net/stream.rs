//! A connection that counts what it reads, refuses more than its bound, and knows when the first byte came.
//!
//! Stands above TLS, so it counts what the protocol above sees. Does not interpret bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::base::clock::Instant;

/// A TCP connection, with TLS or without, that is watched.
#[derive(Debug)]
pub struct Stream {
    transport: Transport,
    watch: Arc<Watch>,
}

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What is known about a connection's reads; shared with whoever judges it.
#[derive(Debug)]
pub struct Watch {
    origin: Instant,
    /// Bytes that may be read from the start, and that may be read now.
    headroom: u64,
    limit: AtomicU64,
    read: AtomicU64,
    /// Nanoseconds from `origin` to the first read since [`Watch::rearm`]; 0 while there was none.
    first: AtomicU64,
}

impl Watch {
    /// Bytes read so far.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// True when the peer sent more than the bound.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.read() > self.limit.load(Ordering::Relaxed)
    }

    /// Lets so many more bytes through until [`Watch::rearm`].
    pub fn allow(&self, more: u64) {
        self.limit.store(self.headroom.saturating_add(more), Ordering::Relaxed);
    }

    /// When the first byte since [`Watch::rearm`] came.
    #[must_use]
    pub fn first_byte(&self) -> Option<Instant> {
        match self.first.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(self.origin + std::time::Duration::from_nanos(nanos)),
        }
    }

    /// Forgets the first byte, the count and what was allowed, for the next request on a reused connection.
    pub fn rearm(&self) {
        self.first.store(0, Ordering::Relaxed);
        self.read.store(0, Ordering::Relaxed);
        self.allow(0);
    }

    fn count(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        if self.read.fetch_add(bytes as u64, Ordering::Relaxed) == 0 {
            let nanos = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.first.store(nanos.max(1), Ordering::Relaxed);
        }
    }
}

impl Stream {
    /// Watches a plain connection; reading more than `headroom` bytes, and what [`Watch::allow`] adds, is an error.
    #[must_use]
    pub fn plain(tcp: TcpStream, headroom: u64) -> Self {
        Self::new(Transport::Plain(tcp), headroom)
    }

    /// Watches a TLS connection.
    #[must_use]
    pub fn tls(tls: TlsStream<TcpStream>, headroom: u64) -> Self {
        Self::new(Transport::Tls(Box::new(tls)), headroom)
    }

    /// The shared watch.
    #[must_use]
    pub fn watch(&self) -> Arc<Watch> {
        Arc::clone(&self.watch)
    }

    /// True when the peer chose HTTP/2 in the TLS handshake (ALPN).
    #[must_use]
    pub fn chose_http2(&self) -> bool {
        match &self.transport {
            Transport::Plain(_) => false,
            Transport::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    fn new(transport: Transport, headroom: u64) -> Self {
        let origin = Instant::now();
        let (read, first) = (AtomicU64::new(0), AtomicU64::new(0));
        let watch = Watch { origin, headroom, limit: AtomicU64::new(headroom), read, first };
        Self { transport, watch: Arc::new(watch) }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.watch.is_over() {
            return Poll::Ready(Err(io::Error::other("the peer sent more than the limit")));
        }
        let before = buf.filled().len();
        let polled = match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Transport::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        };
        self.watch.count(buf.filled().len() - before);
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Transport::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bytes),
            Transport::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(tcp) => tcp.is_write_vectored(),
            Transport::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            // Closing the socket, which always follows, sends the same FIN; asking twice costs a seventh of a small probe.
            Transport::Plain(_) => Poll::Ready(Ok(())),
            Transport::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
