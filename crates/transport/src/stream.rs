//! Moving bytes between a stream and its buffers, for both sides.

use std::future::Future;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;

use crate::limits::READ_BYTES_MAX;

/// Reads go to the stack first, so that waiting costs no buffer and what is kept has exactly the size of what came.
const SCRATCH_BYTES: usize = 8 * 1024;

/// The runtime's clock, which tests can pause.
pub(crate) fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// Waits for bytes and appends all that are there, up to `limits::READ_BYTES_MAX`; 0 means that the stream ended. Takes
/// nothing when dropped before it is done.
pub(crate) async fn read_burst<S: AsyncRead + Unpin>(stream: &mut S, input: &mut BytesMut) -> std::io::Result<usize> {
    std::future::poll_fn(|cx| poll_burst(stream, input, cx)).await
}

fn poll_burst<S: AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<std::io::Result<usize>> {
    let mut total = 0;
    while total < READ_BYTES_MAX {
        let mut scratch = [MaybeUninit::<u8>::uninit(); SCRATCH_BYTES];
        let mut scratch = ReadBuf::uninit(&mut scratch);
        match Pin::new(&mut *stream).poll_read(cx, &mut scratch) {
            Poll::Ready(Ok(())) if !scratch.filled().is_empty() => {
                total += scratch.filled().len();
                input.extend_from_slice(scratch.filled());
            }
            // End and errors are met again by the next read, after what came before them was handled.
            Poll::Ready(_) | Poll::Pending if total > 0 => break,
            Poll::Ready(read) => return Poll::Ready(read.map(|()| 0)),
            Poll::Pending => return Poll::Pending,
        }
    }
    Poll::Ready(Ok(total))
}

/// Bytes on their way into a stream.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    bytes: BytesMut,
    /// Taken by the stream, not yet flushed through TLS.
    unflushed: bool,
}

impl Outgoing {
    /// Adds bytes.
    pub(crate) fn push(&mut self, bytes: BytesMut) {
        if self.bytes.is_empty() {
            self.bytes = bytes;
        } else {
            self.bytes.extend_from_slice(&bytes);
        }
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_done(&self) -> bool {
        self.bytes.is_empty() && !self.unflushed
    }

    /// Bytes the stream has not taken.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Writes what the stream takes at once. Loses nothing when dropped before it is done.
    pub(crate) async fn write_some<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> std::io::Result<()> {
        if !self.bytes.is_empty() {
            let written = stream.write(&self.bytes).await?;
            if written == 0 {
                return Err(std::io::ErrorKind::WriteZero.into());
            }
            self.bytes.advance(written);
            self.unflushed = true;
        }
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
            stream.flush().await?;
            self.unflushed = false;
        }
        Ok(())
    }

    /// Writes what the stream takes without waiting.
    pub(crate) async fn try_write<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> std::io::Result<()> {
        std::future::poll_fn(|cx| match pin!(self.write_some(stream)).poll(cx) {
            Poll::Ready(written) => Poll::Ready(written),
            Poll::Pending => Poll::Ready(Ok(())),
        })
        .await
    }

    /// Writes everything.
    pub(crate) async fn write_all<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> std::io::Result<()> {
        while !self.is_done() {
            self.write_some(stream).await?;
        }
        Ok(())
    }
}

/// What [`exchange`] did.
pub(crate) enum Moved {
    /// The stream took some of the output.
    Written(std::io::Result<()>),
    /// Bytes came; none means that the stream ended.
    Read(std::io::Result<usize>),
}

/// Writes or reads, whichever is possible first, writing preferred. Loses nothing when dropped before it is done.
pub(crate) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    output: &mut Outgoing,
    input: &mut BytesMut,
    reading: bool,
) -> Moved {
    std::future::poll_fn(|cx| {
        if !output.is_done()
            && let Poll::Ready(written) = pin!(output.write_some(stream)).poll(cx)
        {
            return Poll::Ready(Moved::Written(written));
        }
        if reading { poll_burst(stream, input, cx).map(Moved::Read) } else { Poll::Pending }
    })
    .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn one_burst_takes_so_much_and_leaves_the_rest() {
        let mut stream = std::io::Cursor::new(vec![7; 2 * READ_BYTES_MAX + 1]);
        let mut input = BytesMut::new();
        for expected in [READ_BYTES_MAX, READ_BYTES_MAX, 1, 0] {
            assert_eq!(read_burst(&mut stream, &mut input).await.unwrap(), expected);
        }
        assert_eq!(input.len(), 2 * READ_BYTES_MAX + 1);
    }
}
