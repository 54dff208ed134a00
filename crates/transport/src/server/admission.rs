//! Who has a place at a listener, and who gives his up when there is none left.
//!
//! ```text
//! accepted ──enter──► stranger ──known──► known
//!                        └─ too late: said nothing that can be decided within its time
//!                        └─ no room: asked to leave, and silent
//! ```
//!
//! A stranger is an unauthenticated client: whoever has not proved who he is. Strangers have so many places and no more, whoever is known keeps his. When
//! a place is needed, the address that holds most of the strangers' gives one: its oldest stranger is asked to leave. He does
//! when nothing has been said to him for a while: every step of a handshake is answered, so whoever gets on with his is not
//! thrown out by those behind him, and whoever sends it byte by byte is.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::gave_way::{GaveWay, Reason};
use super::slices::Slices;
use crate::limits::{ARRIVAL_TIMEOUT, CONNECTIONS_MAX, STRANGER_PATIENCE, STRANGER_SILENCE_MAX, STRANGERS_MAX};
use crate::log;

#[cfg(test)]
mod tests;

/// What a listener allows; the defaults are those of [`crate::limits`].
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Connections at a time. A further one takes a stranger's place, or waits.
    pub connections_max: usize,
    /// Strangers among them.
    pub strangers_max: usize,
    /// How long it may take from the open connection to what says who the client is.
    pub arrival_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self { connections_max: CONNECTIONS_MAX, strangers_max: STRANGERS_MAX, arrival_timeout: ARRIVAL_TIMEOUT }
    }
}

/// Why a stranger has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// He has not said in time what he wants.
    TooLate,
    /// Somebody else needs the place.
    NoRoom,
}

/// The admissions of one listener.
pub struct Admissions {
    shared: Arc<Shared>,
}

struct Shared {
    limits: ServerLimits,
    places: Mutex<Places>,
    /// A place was given back, or a stranger who was asked stays.
    changed: Notify,
    /// For those who come and go.
    slices: Slices,
    gave_way: GaveWay,
}

#[derive(Default)]
struct Places {
    taken: usize,
    /// Counts whoever enters, so that the lowest number is the oldest.
    entered: u64,
    strangers: HashMap<u64, Stranger>,
}

struct Stranger {
    address: IpAddr,
    /// Smallest first in being asked to leave.
    turn: u64,
    is_asked: bool,
    /// It is our turn, not his.
    is_heard: bool,
    asks: Arc<Ask>,
}

/// The request to leave.
#[derive(Default)]
struct Ask {
    asked: Notify,
    /// His address held more than others when he was asked.
    is_of_crowd: AtomicBool,
}

impl Admissions {
    /// With nobody inside. On a runtime, whose workers it shares with whoever is inside.
    pub fn new(limits: ServerLimits) -> Self {
        Self::counting(limits, GaveWay::default())
    }

    /// The same, counting whoever has to give way.
    pub fn counting(limits: ServerLimits, gave_way: GaveWay) -> Self {
        let slices = Slices::new(tokio::runtime::Handle::current().metrics().num_workers());
        Self { shared: Arc::new(Shared { limits, places: Mutex::default(), changed: Notify::new(), slices, gave_way }) }
    }

    /// Takes a place for a connection from this address, waiting until there is one.
    pub async fn enter(&self, address: IpAddr) -> Admission {
        let mut is_counted = false;
        loop {
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            if let Some(admission) = self.try_enter(address) {
                return admission;
            }
            if self.is_full() && !std::mem::replace(&mut is_counted, true) {
                self.shared.gave_way.count(Reason::Full);
            }
            changed.await;
        }
    }

    fn is_full(&self) -> bool {
        self.shared.places().taken >= self.shared.limits.connections_max
    }

    /// The same without waiting. When there is no place, a stranger is asked to leave his.
    pub fn try_enter(&self, address: IpAddr) -> Option<Admission> {
        let limits = self.shared.limits;
        let mut places = self.shared.places();
        if places.taken >= limits.connections_max || places.strangers.len() >= limits.strangers_max {
            places.ask_one();
            return None;
        }
        let number = places.entered;
        let asks = Arc::new(Ask::default());
        let stranger = Stranger {
            address: network(address),
            turn: number,
            is_asked: false,
            is_heard: false,
            asks: Arc::clone(&asks),
        };
        places.entered += 1;
        places.taken += 1;
        places.strangers.insert(number, stranger);
        drop(places);
        let now = Instant::now();
        Some(Admission {
            inner: Arc::new(Inner {
                shared: Arc::clone(&self.shared),
                number,
                address,
                asks,
                entered: now,
                due_ms: AtomicU64::new(whole_ms(limits.arrival_timeout)),
                spoken_ms: AtomicU64::new(0),
                is_known: AtomicBool::new(false),
                waits: AtomicBool::new(false),
                proved: Notify::new(),
            }),
        })
    }
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, Places> {
        // Numbers only, changed together: a panic elsewhere leaves nothing half done.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// Asks the oldest stranger of the address that has most of them, unless one of that address is asked already.
    fn ask_one(&mut self) {
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        for stranger in self.strangers.values().filter(|stranger| !stranger.is_heard) {
            *held.entry(stranger.address).or_default() += 1;
        }
        let most = held.values().max().copied().unwrap_or_default();
        let giving = self
            .strangers
            .values_mut()
            .filter(|stranger| !stranger.is_heard && held.get(&stranger.address) == Some(&most));
        if let Some(oldest) = giving.min_by_key(|stranger| stranger.turn)
            && !std::mem::replace(&mut oldest.is_asked, true)
        {
            oldest.asks.is_of_crowd.store(most > 1, Ordering::Relaxed);
            oldest.asks.asked.notify_one();
        }
    }
}

/// A connection's place; given back when the last of its clones is dropped.
#[derive(Clone)]
pub struct Admission {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    number: u64,
    address: IpAddr,
    asks: Arc<Ask>,
    entered: Instant,
    /// By when he has to say what he wants, after he entered; [`NEVER`] when he has.
    due_ms: AtomicU64,
    /// When something was last said to him, after he entered; 0 for never.
    spoken_ms: AtomicU64,
    is_known: AtomicBool,
    /// He has said something and waits for our turn to work on it.
    waits: AtomicBool,
    proved: Notify,
}

impl Admission {
    /// Work on his coming or going, done beside those who are inside.
    pub async fn in_turn<F: Future>(&self, work: F) -> F::Output {
        let waits = |waits| self.inner.waits.store(waits, Ordering::Relaxed);
        self.inner.shared.slices.run(work, waits).await
    }

    /// He has said what he wants; from now on he is not hurried.
    pub fn arrived(&self) {
        self.inner.due_ms.store(NEVER, Ordering::Relaxed);
        self.inner.speak();
    }

    /// He asked for a connection within his own, and has to say anew what he wants: if he had said it before, in the time of
    /// one who enters.
    pub(super) fn expected(&self) {
        let due = self.inner.entered.elapsed() + self.inner.shared.limits.arrival_timeout;
        let _ = self.inner.due_ms.compare_exchange(NEVER, whole_ms(due), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// He has said who he is, and now waits for us: he is not asked to leave.
    pub fn heard(&self) {
        if let Some(stranger) = self.inner.shared.places().strangers.get_mut(&self.inner.number) {
            stranger.is_heard = true;
        }
        self.inner.shared.changed.notify_waiters();
    }

    /// He has proved who he is, and keeps his place.
    pub fn known(&self) {
        if !self.inner.is_known.swap(true, Ordering::Relaxed) {
            self.inner.shared.places().strangers.remove(&self.inner.number);
            self.inner.proved.notify_waiters();
            self.inner.shared.changed.notify_waiters();
        }
    }

    /// Whether he has proved who he is.
    pub fn is_known(&self) -> bool {
        self.inner.is_known.load(Ordering::Relaxed)
    }

    /// Waits until he has proved who he is.
    pub async fn until_known(&self) {
        loop {
            let mut proved = std::pin::pin!(self.inner.proved.notified());
            proved.as_mut().enable();
            if self.is_known() {
                return;
            }
            proved.await;
        }
    }

    /// Waits until he has to leave; for ever when he is known by then.
    pub async fn must_leave(&self) -> Leave {
        tokio::select! {
            () = self.too_late() => {
                self.gave_way().count(Reason::Late);
                Leave::TooLate
            }
            () = self.asked_and_silent() => {
                let is_of_crowd = self.inner.asks.is_of_crowd.load(Ordering::Relaxed);
                self.gave_way().count(if is_of_crowd { Reason::AddressShare } else { Reason::Oldest });
                if log::may_tell_of_stranger() {
                    tracing::info!(address = %self.inner.address, "a connection that made no progress gave its place to another");
                }
                Leave::NoRoom
            }
        }
    }

    /// The counts of the listener, for when his connection or a request of it has to give way.
    pub fn gave_way(&self) -> &GaveWay {
        &self.inner.shared.gave_way
    }

    /// The stream of his connection, looked at for whether something is said to him.
    pub fn watch<S>(&self, stream: S) -> Watched<S> {
        Watched { stream, admission: Arc::clone(&self.inner) }
    }

    async fn too_late(&self) {
        loop {
            let due_ms = self.inner.due_ms.load(Ordering::Relaxed);
            if due_ms == NEVER {
                std::future::pending().await
            }
            sleep_until(self.inner.entered + Duration::from_millis(due_ms)).await;
            if self.inner.due_ms.load(Ordering::Relaxed) == due_ms {
                return;
            }
        }
    }

    /// Waits until he is asked, or has been: whoever was asked while he did one part of his coming is asked in the next.
    async fn until_asked(&self) {
        loop {
            let mut asks = std::pin::pin!(self.inner.asks.asked.notified());
            asks.as_mut().enable();
            if self.is_asked() {
                return;
            }
            asks.await;
        }
    }

    fn is_asked(&self) -> bool {
        self.inner.shared.places().strangers.get(&self.inner.number).is_some_and(|stranger| stranger.is_asked)
    }

    async fn asked_and_silent(&self) {
        loop {
            self.until_asked().await;
            let spoken = self.inner.spoken();
            let patience = if spoken == self.inner.entered { STRANGER_SILENCE_MAX } else { STRANGER_PATIENCE };
            sleep_until(spoken + patience).await;
            if self.is_known() {
                std::future::pending().await
            }
            if self.inner.spoken() == spoken && !self.inner.waits.load(Ordering::Relaxed) {
                return;
            }
            self.inner.stays();
        }
    }
}

impl Inner {
    fn spoken(&self) -> Instant {
        self.entered + Duration::from_millis(self.spoken_ms.load(Ordering::Relaxed))
    }

    fn speak(&self) {
        if !self.is_known.load(Ordering::Relaxed) {
            self.spoken_ms.store(whole_ms(self.entered.elapsed()).max(1), Ordering::Relaxed);
        }
    }

    /// He was asked and gets on: others are asked before him.
    fn stays(&self) {
        let mut places = self.shared.places();
        let turn = places.entered;
        places.entered += 1;
        if let Some(stranger) = places.strangers.get_mut(&self.number) {
            (stranger.turn, stranger.is_asked) = (turn, false);
        }
        drop(places);
        self.shared.changed.notify_waiters();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let mut places = self.shared.places();
        places.taken -= 1;
        places.strangers.remove(&self.number);
        drop(places);
        self.shared.changed.notify_waiters();
    }
}

/// No time of a stranger's.
const NEVER: u64 = u64::MAX;

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(NEVER)
}

/// What shares a place: an IPv4 address, or the network of an IPv6 address, of which one machine has as many as it likes.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// A stream whose writes are told to the admissions.
pub struct Watched<S> {
    stream: S,
    admission: Arc<Inner>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn told(&self, written: Poll<std::io::Result<usize>>) -> Poll<std::io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(bytes)) if bytes > 0) {
            self.admission.speak();
        }
        written
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let me = self.get_mut();
        let written = Pin::new(&mut me.stream).poll_write(cx, bytes);
        me.told(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let me = self.get_mut();
        let written = Pin::new(&mut me.stream).poll_write_vectored(cx, slices);
        me.told(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
