//! A WebSocket as a stream of bytes: whoever reads and writes it need not know that it is one.
//!
//! ```text
//! read:   stream ──► the reader's own buffer, in which the frames are taken apart
//! write:  bytes ──► `out`, one frame at most and what is to be said beside it ──► stream
//! ```
//!
//! Pings are answered while somebody reads. What is read ends when the peer closes. What a peer may not send is an error of the
//! kind `InvalidData` that holds the [`Violation`]; by then its code is on the way.

pub(crate) mod handshake;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use protocol::web_socket::{Decoder, Role, Sent, Violation, encode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits::{WEB_SOCKET_FRAME_BYTES_MAX, WEB_SOCKET_WRITE_BYTES_MAX};

/// Code of an end in good order.
const NORMAL: u16 = 1000;

/// A stream that carries bytes in the binary messages of a WebSocket.
pub(crate) struct WebSocket<S> {
    stream: S,
    role: Role,
    decoder: Decoder,
    /// Whole frames that the stream has not taken.
    out: BytesMut,
    /// Taken by the stream, not yet flushed.
    is_unflushed: bool,
    /// Our close frame is on the way or gone: nothing may follow it.
    has_closed: bool,
    violation: Option<Violation>,
    /// We are done: what comes still is thrown away by whoever reads it.
    is_shut: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Over a stream whose handshake is done.
    pub(crate) fn new(stream: S, role: Role) -> Self {
        Self {
            stream,
            role,
            decoder: Decoder::new(role, WEB_SOCKET_FRAME_BYTES_MAX),
            out: BytesMut::new(),
            is_unflushed: false,
            has_closed: false,
            violation: None,
            is_shut: false,
        }
    }

    fn push(&mut self, sent: Sent<'_>) -> io::Result<()> {
        let mask = match self.role {
            Role::Server => None,
            Role::Client => {
                let mut mask = [0; 4];
                getrandom::fill(&mut mask).map_err(|error| io::Error::other(error.to_string()))?;
                Some(mask)
            }
        };
        encode(sent, mask, &mut self.out);
        Ok(())
    }

    fn push_close(&mut self, code: Option<u16>) -> io::Result<()> {
        if std::mem::replace(&mut self.has_closed, true) {
            return Ok(());
        }
        self.push(Sent::Close(code))
    }

    /// Brings `out` to the stream, and behind it the answer to a ping.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while !self.out.is_empty() {
                let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.out.advance(written);
                self.is_unflushed = true;
            }
            self.out = BytesMut::new();
            match self.decoder.take_ping() {
                Some(ping) if !self.has_closed => self.push(Sent::Pong(&ping))?,
                _ => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_all_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        if self.is_unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the frames in what was read apart; says how much of it is payload.
    fn decode(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.decoder.decode(bytes).or_else(|violation| {
            self.violation = Some(violation);
            self.push_close(Some(violation.code()))?;
            Err(refused(violation))
        })
    }
}

fn refused(violation: Violation) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, violation)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        loop {
            if let (Some(code), false) = (me.decoder.closed(), me.has_closed) {
                me.push_close(code)?;
            }
            // It goes out when it can; reading does not wait for it.
            if let Poll::Ready(Err(error)) = me.poll_all_out(cx)
                && !me.is_shut
            {
                return Poll::Ready(Err(error));
            }
            match me.violation {
                Some(violation) if !me.is_shut => return Poll::Ready(Err(refused(violation))),
                // Nobody can tell any longer what is a frame.
                Some(_) => return Pin::new(&mut me.stream).poll_read(cx, buf),
                None => {}
            }
            if me.decoder.closed().is_some() {
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut me.stream).poll_read(cx, buf))?;
            if buf.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            let payload = me.decode(&mut buf.filled_mut()[before..]).inspect_err(|_| buf.set_filled(before));
            match payload {
                Ok(payload) => buf.set_filled(before + payload),
                // Met again above, once the code is on its way.
                Err(_) => continue,
            }
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        if me.has_closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(me.poll_out(cx))?;
        let piece = &bytes[..bytes.len().min(WEB_SOCKET_WRITE_BYTES_MAX)];
        me.push(Sent::Bytes(piece))?;
        // What the stream does not take now it is offered again by the next call.
        if let Poll::Ready(Err(error)) = me.poll_out(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_all_out(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        me.is_shut = true;
        me.push_close(Some(NORMAL))?;
        ready!(me.poll_all_out(cx))?;
        Pin::new(&mut me.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
