//! Bodies of requests: how much of one is read, how fast it must come, and how much of all is held at a time.
//!
//! ```text
//! head ──► a stranger's: a few KiB ──raise──► what the endpoint takes, once it is known who sends it
//! ```
//!
//! A body is read as far as its [`Allowance`] says and no further. What of it is not read when the request is answered is drawn
//! off for a while: a caller who is sending still would not hear the answer otherwise.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, timeout};

use super::admission::Admission;
use super::gave_way::{GaveWay, Reason};
use crate::limits::{
    BODIES_BYTES_MAX, BODY_BYTES_PER_SEC_MIN, BODY_GRACE, REFUSED_BODY_BYTES_MAX, REFUSED_BODY_TIMEOUT,
    STRANGER_BODIES_BYTES_MAX, STRANGER_BODY_BYTES_MAX,
};

#[cfg(test)]
mod tests;

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is longer than the endpoint takes.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// It comes slower than `limits::BODY_BYTES_PER_SEC_MIN`.
    #[error("the body did not come in time")]
    TooSlow,
    /// The bodies of all requests together are as many bytes as may be.
    #[error("too many requests are read at the same time")]
    Busy,
    /// The connection broke.
    #[error("the body could not be read")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Room for the bodies of all requests of the process. Cheap to clone.
#[derive(Clone)]
pub struct Bodies {
    strangers: Arc<Semaphore>,
    known: Arc<Semaphore>,
}

impl Default for Bodies {
    fn default() -> Self {
        let room = |bytes| Arc::new(Semaphore::new(bytes));
        Self { strangers: room(STRANGER_BODIES_BYTES_MAX), known: room(BODIES_BYTES_MAX) }
    }
}

impl Bodies {
    /// Holds a request to what a stranger may send. The allowance is among its extensions too, and gives back its room when the
    /// last of its clones is dropped.
    pub fn measure<B>(&self, request: Request<B>) -> (Request<Measured<B>>, Allowance)
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let allowance = Allowance(Arc::new(Inner {
            bodies: self.clone(),
            bytes_max: AtomicUsize::new(STRANGER_BODY_BYTES_MAX),
            is_known: AtomicBool::new(false),
            held: Mutex::default(),
            gave_way: request.extensions().get::<Admission>().map(|admission| admission.gave_way().clone()),
        }));
        let waits = request.headers().contains_key(header::EXPECT);
        let mut request = request.map(|body| Measured {
            waits,
            body: Some(body),
            allowance: allowance.clone(),
            taken: 0,
            clock: None,
        });
        request.extensions_mut().insert(allowance.clone());
        (request, allowance)
    }
}

/// How much of a request's body may be read.
#[derive(Clone)]
pub struct Allowance(Arc<Inner>);

struct Inner {
    bodies: Bodies,
    bytes_max: AtomicUsize,
    is_known: AtomicBool,
    held: Mutex<Vec<OwnedSemaphorePermit>>,
    /// Of the listener the request came in at.
    gave_way: Option<GaveWay>,
}

impl Allowance {
    /// It is known who sends the request, and its endpoint takes so much.
    pub fn raise(&self, bytes_max: usize) {
        self.0.bytes_max.store(bytes_max, Ordering::Relaxed);
        self.0.is_known.store(true, Ordering::Relaxed);
    }

    /// Gives back the room of what was read so far: it is not held any more.
    pub fn give_back(&self) {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn gives_way(&self, reason: Reason) {
        self.0.gave_way.as_ref().inspect(|gave_way| gave_way.count(reason));
    }

    fn bytes_max(&self) -> usize {
        self.0.bytes_max.load(Ordering::Relaxed)
    }

    /// Takes room for bytes that have come.
    fn take(&self, bytes: usize) -> Result<(), BodyError> {
        let Bodies { strangers, known } = &self.0.bodies;
        let room = if self.0.is_known.load(Ordering::Relaxed) { known } else { strangers };
        let count = u32::try_from(bytes).map_err(|_| BodyError::Busy)?;
        let permit = Arc::clone(room).try_acquire_many_owned(count).map_err(|_| {
            self.gives_way(Reason::BodyRoom);
            BodyError::Busy
        })?;
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.iter_mut().find(|held| Arc::ptr_eq(held.semaphore(), permit.semaphore())) {
            Some(held) => held.merge(permit),
            None => held.push(permit),
        }
        Ok(())
    }
}

/// A body that is read within an allowance.
pub struct Measured<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    body: Option<B>,
    allowance: Allowance,
    taken: usize,
    clock: Option<Clock>,
    /// The caller sends the body when he is asked for it.
    waits: bool,
}

struct Clock {
    since: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl Clock {
    fn start() -> Self {
        let since = Instant::now();
        Self { since, alarm: Box::pin(tokio::time::sleep_until(since + BODY_GRACE)) }
    }

    /// Whether the body is late, of which so many bytes have come.
    fn is_over(&mut self, taken: usize, cx: &mut Context<'_>) -> bool {
        while self.alarm.as_mut().poll(cx).is_ready() {
            let due = self.since + BODY_GRACE + Duration::from_secs(taken as u64 / BODY_BYTES_PER_SEC_MIN);
            if due <= Instant::now() {
                return true;
            }
            self.alarm.as_mut().reset(due);
        }
        false
    }
}

impl<B> Body for Measured<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        let Some(body) = &mut me.body else { return Poll::Ready(None) };
        let bytes_max = me.allowance.bytes_max();
        // What is announced is refused before any of it is held.
        if me.taken as u64 + body.size_hint().lower() > bytes_max as u64 {
            return Poll::Ready(Some(Err(BodyError::TooLarge(bytes_max))));
        }
        me.waits = false;
        let clock = me.clock.get_or_insert_with(Clock::start);
        let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else {
            ready!(if clock.is_over(me.taken, cx) { Poll::Ready(()) } else { Poll::Pending });
            me.allowance.gives_way(Reason::BodySlow);
            return Poll::Ready(Some(Err(BodyError::TooSlow)));
        };
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(BodyError::Broken(error.into())))),
            None => {
                me.body = None;
                return Poll::Ready(None);
            }
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        me.taken += bytes;
        if me.taken > bytes_max {
            return Poll::Ready(Some(Err(BodyError::TooLarge(bytes_max))));
        }
        Poll::Ready(Some(me.allowance.take(bytes).map(|()| frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// What was not read is drawn off, so that the caller hears the answer.
impl<B> Drop for Measured<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    fn drop(&mut self) {
        let Some(mut body) = self.body.take().filter(|body| !body.is_end_stream() && !self.waits) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let drawn_off = async move {
            let mut left = REFUSED_BODY_BYTES_MAX;
            while let Some(Ok(frame)) = body.frame().await {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let Some(rest) = left.checked_sub(bytes) else { return };
                left = rest;
            }
        };
        runtime.spawn(timeout(REFUSED_BODY_TIMEOUT, drawn_off));
    }
}
