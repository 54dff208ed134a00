//! Live updates: what just happened, to whoever watches.
//!
//! The log reader and the gateway publish; the console's event stream subscribes to one device, or to the connection events
//! of the whole fleet. Each subscriber has a bounded queue; one that is too slow is cut, told that it lagged, and starts
//! over. Publishing never waits, and costs one look-up when nobody watches.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::limits::{LIVE_EVENTS_PER_SUBSCRIBER_MAX, LIVE_SUBSCRIBERS_MAX};

#[cfg(test)]
mod tests;

/// One thing that happened to a device or one of its modules.
#[derive(Debug, Clone, PartialEq)]
pub enum LiveEvent {
    /// A telemetry message was read.
    Telemetry {
        /// Device id.
        device: String,
        /// Module id, if a module sent it.
        module: Option<String>,
        /// Component, from `$.sub`.
        component: Option<String>,
        /// Telemetry time, Unix milliseconds.
        ts_ms: i64,
        /// Top-level names and values of the body.
        values: serde_json::Map<String, Value>,
        /// Offset in the log.
        offset: u64,
    },
    /// Reported properties changed.
    Properties {
        /// Device id.
        device: String,
        /// Module id, if it is the module's twin.
        module: Option<String>,
        /// The patch as reported.
        properties: Value,
    },
    /// A session began or ended.
    Connection {
        /// Device id.
        device: String,
        /// Module id, if it is a module's session.
        module: Option<String>,
        /// Whether it began.
        connected: bool,
    },
    /// The edge runtime of the device reported something.
    Edge {
        /// Device id.
        device: String,
    },
}

impl LiveEvent {
    /// Whom it is about.
    pub fn device(&self) -> &str {
        match self {
            Self::Telemetry { device, .. }
            | Self::Properties { device, .. }
            | Self::Connection { device, .. }
            | Self::Edge { device } => device,
        }
    }

    /// Name of the server-sent event.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Telemetry { .. } => "telemetry",
            Self::Properties { .. } => "properties",
            Self::Connection { .. } => "connection",
            Self::Edge { .. } => "edge",
        }
    }

    /// Data of the server-sent event. Absent members are left out.
    pub fn data(&self) -> Value {
        let mut data = match self {
            Self::Telemetry { device, ts_ms, values, offset, .. } => {
                json!({ "device": device, "ts": ts_ms, "values": values, "offset": offset })
            }
            Self::Properties { device, properties, .. } => json!({ "device": device, "properties": properties }),
            Self::Connection { device, connected, .. } => {
                json!({ "device": device, "status": if *connected { "connected" } else { "disconnected" } })
            }
            Self::Edge { device } => json!({ "device": device }),
        };
        let (module, component) = match self {
            Self::Telemetry { module, component, .. } => (module.as_ref(), component.as_ref()),
            Self::Properties { module, .. } | Self::Connection { module, .. } => (module.as_ref(), None),
            Self::Edge { .. } => (None, None),
        };
        if let Some(module) = module {
            data["module"] = json!(module);
        }
        if let Some(component) = component {
            data["component"] = json!(component);
        }
        data
    }
}

/// Publishers' and subscribers' meeting point. Cheap to clone.
#[derive(Clone, Default)]
pub struct Live {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    topics: Mutex<HashMap<Topic, Vec<Subscriber>>>,
    subscribers: AtomicUsize,
}

/// Application, and device; no device means connection events of the fleet.
type Topic = (String, Option<String>);

struct Subscriber {
    sender: mpsc::Sender<Arc<LiveEvent>>,
    lagged: Arc<AtomicBool>,
}

/// Too many subscribers at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many live subscribers")]
pub struct SubscribeError;

/// One subscriber's end.
pub struct LiveStream {
    receiver: mpsc::Receiver<Arc<LiveEvent>>,
    lagged: Arc<AtomicBool>,
    inner: Arc<Inner>,
}

impl Live {
    /// Watches one device of an application, or the connections of all.
    pub fn subscribe(&self, app: &str, device: Option<String>) -> Result<LiveStream, SubscribeError> {
        let taken = self.inner.subscribers.fetch_add(1, Ordering::AcqRel);
        if taken >= LIVE_SUBSCRIBERS_MAX {
            self.inner.subscribers.fetch_sub(1, Ordering::AcqRel);
            return Err(SubscribeError);
        }
        let (sender, receiver) = mpsc::channel(LIVE_EVENTS_PER_SUBSCRIBER_MAX);
        let lagged = Arc::new(AtomicBool::new(false));
        let subscriber = Subscriber { sender, lagged: Arc::clone(&lagged) };
        let mut topics = self.inner.topics.lock().expect("nothing panics while it holds the topics");
        topics.entry((app.to_owned(), device)).or_default().push(subscriber);
        drop(topics);
        Ok(LiveStream { receiver, lagged, inner: Arc::clone(&self.inner) })
    }

    /// Ends every stream, at shutdown.
    pub fn close(&self) {
        self.inner.topics.lock().expect("nothing panics while it holds the topics").clear();
    }

    /// Whether anybody watches the device, so that costly events need not be built for nobody.
    pub fn is_watched(&self, app: &str, device: &str) -> bool {
        if self.inner.subscribers.load(Ordering::Acquire) == 0 {
            return false;
        }
        let topics = self.inner.topics.lock().expect("nothing panics while it holds the topics");
        topics.contains_key(&(app.to_owned(), Some(device.to_owned())))
    }

    /// Hands the event to those who watch its device, and connection events also to those who watch the fleet.
    pub fn publish(&self, app: &str, event: LiveEvent) {
        if self.inner.subscribers.load(Ordering::Acquire) == 0 {
            return;
        }
        let for_fleet = matches!(event, LiveEvent::Connection { .. });
        let of_device = (app.to_owned(), Some(event.device().to_owned()));
        let event = Arc::new(event);
        let mut topics = self.inner.topics.lock().expect("nothing panics while it holds the topics");
        deliver(&mut topics, &of_device, &event);
        if for_fleet {
            deliver(&mut topics, &(app.to_owned(), None), &event);
        }
    }
}

fn deliver(topics: &mut HashMap<Topic, Vec<Subscriber>>, topic: &Topic, event: &Arc<LiveEvent>) {
    let Some(subscribers) = topics.get_mut(topic) else { return };
    subscribers.retain(|subscriber| match subscriber.sender.try_send(Arc::clone(event)) {
        Ok(()) => true,
        Err(mpsc::error::TrySendError::Full(_)) => {
            subscriber.lagged.store(true, Ordering::Release);
            false
        }
        Err(mpsc::error::TrySendError::Closed(_)) => false,
    });
    if subscribers.is_empty() {
        topics.remove(topic);
    }
}

impl LiveStream {
    /// The next event; `None` once this subscriber was cut.
    pub async fn next(&mut self) -> Option<Arc<LiveEvent>> {
        self.receiver.recv().await
    }

    /// Whether it was cut for being slow.
    pub fn lagged(&self) -> bool {
        self.lagged.load(Ordering::Acquire)
    }
}

impl Drop for LiveStream {
    fn drop(&mut self) {
        self.inner.subscribers.fetch_sub(1, Ordering::AcqRel);
        self.receiver.close();
        let mut topics = self.inner.topics.lock().expect("nothing panics while it holds the topics");
        topics.retain(|_, subscribers| {
            subscribers.retain(|subscriber| !subscriber.sender.is_closed());
            !subscribers.is_empty()
        });
    }
}
