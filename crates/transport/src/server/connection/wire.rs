//! The byte side of a connection: buffers, reading, writing, the clock.

use std::pin::Pin;
use std::time::Instant;

use bytes::BytesMut;
use protocol::event::{Face, HubEvent};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Sleep, timeout};

use super::End;
use crate::limits::{CLOSE_TIMEOUT, REFUSED_BYTES_MAX, REFUSED_TIMEOUT, WRITE_TIMEOUT};
use crate::stream::{Outgoing, now, read_burst};

/// A stream, the state machine behind it, and what is on its way between them.
pub(super) struct Wire<S, F> {
    stream: S,
    pub(super) face: F,
    input: BytesMut,
    /// The clock as it was when bytes came or a handler call ended: to ask it for every packet of a burst would be waste.
    clock: Instant,
    output: Outgoing,
    /// Set for the earliest deadline known when it was armed; deadlines that moved on are looked up when it fires.
    alarm: Pin<Box<Sleep>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin, F: Face> Wire<S, F> {
    pub(super) fn new(stream: S) -> Self {
        let mut wire = Self {
            stream,
            face: F::open(now()),
            input: BytesMut::new(),
            clock: now(),
            output: Outgoing::default(),
            alarm: Box::pin(tokio::time::sleep_until(tokio::time::Instant::now())),
        };
        wire.arm();
        wire
    }

    /// The next event in what was read.
    pub(super) fn poll(&mut self) -> Result<Option<HubEvent>, End> {
        self.face.poll(self.clock, &mut self.input).map_err(End::protocol)
    }

    /// Time has passed.
    pub(super) fn look_at_clock(&mut self) {
        self.clock = now();
    }

    /// Gives back the read buffer of a connection that has nothing under way.
    pub(super) fn release(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    /// Whether something waits to be written.
    pub(super) fn has_output(&self) -> bool {
        !self.output.is_done() || self.face.output_len() > 0
    }

    /// Bytes waiting to be written.
    pub(super) fn output_len(&self) -> usize {
        self.output.len() + self.face.output_len()
    }

    /// Writes what the stream takes at once. May be dropped and called again.
    pub(super) async fn write_some(&mut self) -> std::io::Result<()> {
        self.output.push(self.face.take_output());
        self.output.write_some(&mut self.stream).await
    }

    /// Writes everything.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        if !self.has_output() {
            return Ok(());
        }
        self.output.push(self.face.take_output());
        // Nearly always the stream takes it all at once, and no timer is needed.
        self.output.try_write(&mut self.stream).await?;
        if self.output.is_done() {
            return Ok(());
        }
        timeout(WRITE_TIMEOUT, self.output.write_all(&mut self.stream)).await.map_err(|_| End::WriteTimeout)??;
        Ok(())
    }

    /// Sets the alarm for the earliest deadline; for when that may have come nearer.
    pub(super) fn arm(&mut self) {
        if let Some(at) = self.face.poll_timeout() {
            self.alarm.as_mut().reset(tokio::time::Instant::from_std(at));
        }
    }

    /// Waits for bytes or for the alarm, and deals with either.
    pub(super) async fn advance(&mut self) -> Result<(), End> {
        let alarm = self.alarm.as_mut();
        tokio::select! {
            biased;
            read = read_burst(&mut self.stream, &mut self.input) => match read? {
                0 => Err(End::Eof),
                _ => {
                    self.look_at_clock();
                    Ok(())
                }
            },
            () = alarm => {
                self.face.handle_timeout(now()).map_err(End::protocol)?;
                self.arm();
                Ok(())
            }
        }
    }

    /// Writes what is left (a refusal, acknowledgements) unless the stream is broken, and closes.
    pub(super) async fn close(&mut self, end: &End) {
        if let End::Asked(_) = end {
            let _ = timeout(CLOSE_TIMEOUT, async {
                let _ = self.flush().await;
                let _ = self.stream.shutdown().await;
            })
            .await;
            return;
        }
        if !matches!(end, End::Io(_) | End::WriteTimeout) {
            let _ = self.flush().await;
        }
        let _ = timeout(WRITE_TIMEOUT, self.stream.shutdown()).await;
        if matches!(end, End::Protocol(_)) {
            let _ = timeout(REFUSED_TIMEOUT, self.drain()).await;
        }
    }

    /// Reads what the client sends still, and throws it away: a socket that is closed with bytes unread takes back what it was
    /// told last.
    async fn drain(&mut self) {
        let mut left = REFUSED_BYTES_MAX;
        while left > 0 {
            self.input.clear();
            match read_burst(&mut self.stream, &mut self.input).await {
                Ok(0) | Err(_) => return,
                Ok(read) => left = left.saturating_sub(read),
            }
        }
    }
}
