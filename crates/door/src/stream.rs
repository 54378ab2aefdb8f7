//! A connection's bytes, encrypted or not.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::server::TlsStream;

use crate::websocket::WebSocket;

/// What a door reads from and writes to. What is written must be flushed: an encrypted stream may
/// hold back the end of it until then.
#[derive(Debug)]
pub enum Stream {
    /// As it comes.
    Plain(TcpStream),
    /// Over TLS, after the handshake. Boxed, because the session is large and most are plain.
    Tls(Box<TlsStream<TcpStream>>),
    /// In the binary messages of a WebSocket, over one of the others.
    WebSocket(Box<WebSocket<Stream>>),
}

impl Stream {
    /// The address that the client connected to.
    ///
    /// # Errors
    /// The socket is closed already.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Plain(stream) => stream.local_addr(),
            Self::Tls(stream) => stream.get_ref().0.local_addr(),
            Self::WebSocket(stream) => stream.get_ref().local_addr(),
        }
    }

    /// Halves that two tasks may use at the same time. Plain ones share nothing but the socket.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Plain(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Plain(read), WriteHalf::Plain(write))
            }
            Self::Tls(stream) => {
                let (read, write) = tokio::io::split(*stream);
                (ReadHalf::Tls(read), WriteHalf::Tls(write))
            }
            Self::WebSocket(stream) => {
                let (read, write) = tokio::io::split(*stream);
                (ReadHalf::WebSocket(read), WriteHalf::WebSocket(write))
            }
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(stream)
    }
}

/// The half of a [`Stream`] that is read.
#[derive(Debug)]
pub enum ReadHalf {
    /// Of a plain stream.
    Plain(OwnedReadHalf),
    /// Of an encrypted one.
    Tls(tokio::io::ReadHalf<TlsStream<TcpStream>>),
    /// Of a WebSocket.
    WebSocket(tokio::io::ReadHalf<WebSocket<Stream>>),
}

/// The half of a [`Stream`] that is written.
#[derive(Debug)]
pub enum WriteHalf {
    /// Of a plain stream.
    Plain(OwnedWriteHalf),
    /// Of an encrypted one.
    Tls(tokio::io::WriteHalf<TlsStream<TcpStream>>),
    /// Of a WebSocket.
    WebSocket(tokio::io::WriteHalf<WebSocket<Stream>>),
}

/// Many clients close the socket without TLS's goodbye. What a door reads has lengths of its own,
/// so nobody gains by cutting it off: such an end is an end.
fn forgive_missing_goodbye(read: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
    match read {
        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Poll::Ready(Ok(()))
        }
        other => other,
    }
}

macro_rules! reads {
    ($name:ident) => {
        impl AsyncRead for $name {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
                    Self::Tls(stream) => {
                        forgive_missing_goodbye(Pin::new(stream).poll_read(cx, buffer))
                    }
                    Self::WebSocket(stream) => Pin::new(stream).poll_read(cx, buffer),
                }
            }
        }
    };
}

macro_rules! writes {
    ($name:ident) => {
        impl AsyncWrite for $name {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
                    Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
                    Self::WebSocket(stream) => Pin::new(stream).poll_write(cx, bytes),
                }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                slices: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
                    Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
                    Self::WebSocket(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
                }
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    Self::Plain(stream) => stream.is_write_vectored(),
                    Self::Tls(stream) => stream.is_write_vectored(),
                    Self::WebSocket(stream) => stream.is_write_vectored(),
                }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
                    Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
                    Self::WebSocket(stream) => Pin::new(stream).poll_flush(cx),
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
                    Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
                    Self::WebSocket(stream) => Pin::new(stream).poll_shutdown(cx),
                }
            }
        }
    };
}

reads!(Stream);
reads!(ReadHalf);
writes!(Stream);
writes!(WriteHalf);
