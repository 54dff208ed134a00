//! Both MQTT roles in memory: a device and its hub, on a fake clock, over a network that can be slow, cut and petty.
//!
//! ```text
//! DeviceConnection --bytes--> [ latency, chunk size, cut ] --bytes--> HubConnection
//!        ^                                                                 |
//!        +--------------------------- the same back -----------------------+
//! ```
//!
//! Nothing happens by itself: [`Pair::step`] moves the clock to whatever is due next, delivers it, and puts the events it
//! caused into [`Pair::device_events`] and [`Pair::hub_events`]. A test decides what either side answers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use protocol::event::{DeviceEvent, Face, HubEvent, Subscriptions};
use protocol::mqtt::{CloseDevice, CloseHub, DeviceConnection, DeviceOptions, HubConnection};

use crate::clock::FakeClock;

/// One direction of the network.
#[derive(Debug, Default)]
struct Pipe {
    on_the_way: VecDeque<(Instant, Bytes)>,
    arrived: BytesMut,
}

impl Pipe {
    fn next_arrival(&self) -> Option<Instant> {
        self.on_the_way.front().map(|(at, _)| *at)
    }
}

/// A device and its hub. See the module.
#[derive(Debug)]
pub struct Pair {
    /// The time of both.
    pub clock: FakeClock,
    /// The hub's side.
    pub hub: HubConnection,
    /// The device's side.
    pub device: DeviceConnection,
    /// What the hub was told, oldest first; tests take from it.
    pub hub_events: VecDeque<HubEvent>,
    /// What the device was told, oldest first; tests take from it.
    pub device_events: VecDeque<DeviceEvent>,
    /// Why the hub gave up, if it did.
    pub hub_closed: Option<CloseHub>,
    /// Why the device gave up, if it did.
    pub device_closed: Option<CloseDevice>,
    /// How long bytes travel.
    pub latency: Duration,
    /// Bytes arrive in pieces of this size.
    pub chunk_bytes: usize,
    /// Whether what is sent is lost: a link that broke without telling anybody.
    pub is_cut: bool,
    to_hub: Pipe,
    to_device: Pipe,
}

impl Pair {
    /// A connection that just opened: CONNECT is on its way.
    pub fn new(options: DeviceOptions) -> Self {
        let clock = FakeClock::default();
        let device = DeviceConnection::new(clock.now(), options).expect("test options can be encoded");
        Self {
            hub: HubConnection::open(clock.now()),
            device,
            clock,
            hub_events: VecDeque::new(),
            device_events: VecDeque::new(),
            hub_closed: None,
            device_closed: None,
            latency: Duration::from_millis(20),
            chunk_bytes: usize::MAX,
            is_cut: false,
            to_hub: Pipe::default(),
            to_device: Pipe::default(),
        }
    }

    /// The same, connected and subscribed; the events that led there are gone.
    pub fn connected(options: DeviceOptions) -> Self {
        let mut pair = Self::new(options);
        pair.accept();
        pair.run_until(|pair| matches!(pair.device_events.back(), Some(DeviceEvent::Ready { .. })));
        pair.hub_events.clear();
        pair.device_events.clear();
        pair
    }

    /// Waits for CONNECT and accepts it.
    pub fn accept(&mut self) {
        self.run_until(|pair| matches!(pair.hub_events.back(), Some(HubEvent::Connect(_) | HubEvent::DpsConnect(_))));
        self.hub.accept(self.clock.now(), false, Subscriptions::default(), None);
    }

    /// Steps until the condition holds. Panics when nothing is due any more or an hour of virtual time has passed.
    pub fn run_until(&mut self, mut condition: impl FnMut(&mut Self) -> bool) {
        let limit = self.clock.now() + Duration::from_secs(3600);
        while !condition(self) {
            assert!(self.step(), "nothing is due any more, and the condition does not hold: {self:#?}");
            assert!(self.clock.now() < limit, "an hour has passed, and the condition does not hold: {self:#?}");
        }
    }

    /// Steps for that long.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.clock.now() + time;
        self.send();
        while self.next_due().is_some_and(|due| due <= until) {
            self.step();
        }
        self.clock.advance_to(until);
    }

    /// Sends what both want to send, moves the clock to the next thing that is due, and does it. Says whether there was one.
    pub fn step(&mut self) -> bool {
        self.send();
        let Some(due) = self.next_due() else { return false };
        self.clock.advance_to(due);
        let now = self.clock.now();
        receive(&mut self.to_hub, now, self.chunk_bytes);
        receive(&mut self.to_device, now, self.chunk_bytes);
        if self.hub_closed.is_none() {
            self.hub_closed = self.poll_hub(now).err();
        }
        if self.device_closed.is_none() {
            self.device_closed = self.poll_device(now).err();
        }
        true
    }

    fn poll_hub(&mut self, now: Instant) -> Result<(), CloseHub> {
        while let Some(event) = self.hub.poll(now, &mut self.to_hub.arrived)? {
            if matches!(event, HubEvent::SubscriptionsChanged(_)) {
                self.hub.confirm_subscriptions();
            }
            self.hub_events.push_back(event);
        }
        self.hub.handle_timeout(now)
    }

    fn poll_device(&mut self, now: Instant) -> Result<(), CloseDevice> {
        while let Some(event) = self.device.poll(now, &mut self.to_device.arrived)? {
            self.device_events.push_back(event);
        }
        self.device.handle_timeout(now)
    }

    fn send(&mut self) {
        let (now, at) = (self.clock.now(), self.clock.now() + self.latency);
        for (output, pipe) in
            [(self.device.take_output(now), &mut self.to_hub), (self.hub.take_output(), &mut self.to_device)]
        {
            if !output.is_empty() && !self.is_cut {
                pipe.on_the_way.push_back((at, output.freeze()));
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let hub = self.hub.poll_timeout().filter(|_| self.hub_closed.is_none());
        let device = self.device.poll_timeout().filter(|_| self.device_closed.is_none());
        [self.to_hub.next_arrival(), self.to_device.next_arrival(), hub, device].into_iter().flatten().min()
    }
}

/// Lets one piece arrive, if it is due.
fn receive(pipe: &mut Pipe, now: Instant, chunk_bytes: usize) {
    let Some((at, bytes)) = pipe.on_the_way.front_mut() else { return };
    if *at > now {
        return;
    }
    let piece = bytes.split_to(bytes.len().min(chunk_bytes));
    if bytes.is_empty() {
        pipe.on_the_way.pop_front();
    }
    pipe.arrived.extend_from_slice(&piece);
}
