//! A message comes in: stamped, tested against every route, stored once for all queues it goes to, then acknowledged.

use std::borrow::Cow;
use std::sync::PoisonError;

use model::identity::Identity;
use model::message::Message;
use model::route::{MessageView, names_equal};
use protocol::hub::bag;
use serde_json::Value;
use transport::server::HubError;

use super::EdgeHub;
use super::queue::{Batch, QueueId, Waiting};
use super::record::{StoredMessage, Target};
use crate::management::{QUEUES, QUEUES_FINE};

/// Source of a reported-property update as routes see it.
pub(super) const TWIN_CHANGES: &str = "/twinChangeNotifications";

impl EdgeHub {
    /// Stores a batch of one sender, in order. Durable for every queue when it returns.
    pub(super) async fn ingest(
        &self,
        sender: &Identity,
        messages: impl Iterator<Item = (Option<&'static str>, Message)>,
    ) -> Result<(), HubError> {
        let Some(config) = self.config() else {
            return Err(unavailable("no routes were seen yet"));
        };
        let internal = sender.device_id() == self.options.device.device_id;
        let stored_at_ms = self.queues.now_ms();
        let mut batch = Batch::default();
        let mut targets = Vec::new();
        let mut outputs: Vec<Output> = Vec::new();
        let mut undeliverable = Vec::new();
        for (source, message) in messages {
            let message = stamp(sender, message);
            let output = output_of(sender, &message.bag);
            let source = source.map_or_else(|| source_of(sender, &output), str::to_owned);
            let deliveries = config.routes.evaluate(&source, &StampedView { message: &message, internal });
            let counted = Output::of(&mut outputs, &output);
            counted.sizes.push(message.bag.len() + message.body.len());
            if deliveries.is_empty() {
                counted.without_route += 1;
                continue;
            }
            let stored = StoredMessage { sender: sender.clone(), stored_at_ms, message };
            targets.clear();
            for delivery in deliveries {
                let queue = QueueId { endpoint: delivery.endpoint.clone(), priority: delivery.priority };
                match self.can_be_delivered(delivery.endpoint, &stored) {
                    Ok(()) => {
                        targets.push(Target { queue, lifetime_secs: delivery.ttl_secs.or(config.lifetime_secs) });
                    }
                    Err(why) => undeliverable.push((queue.endpoint, stored.clone(), why)),
                }
            }
            if !targets.is_empty() {
                batch.add(&targets, &stored);
            }
        }
        let stored = if batch.is_empty() { Ok(()) } else { self.store(batch).await };
        for Output { name, sizes, without_route } in &outputs {
            match stored {
                Ok(()) => self.options.metrics.hub.received(sender, name, sizes),
                Err(_) => self.options.metrics.hub.unacknowledged(sender, name, sizes.len() as u64),
            }
            if stored.is_ok() && *without_route > 0 {
                self.drop_without_route(sender, name, *without_route);
            }
        }
        // What is not acknowledged comes again.
        for (endpoint, message, why) in undeliverable.iter().filter(|_| stored.is_ok()) {
            self.drop_undeliverable_message(endpoint, message, why);
        }
        stored
    }

    async fn store(&self, batch: Batch) -> Result<(), HubError> {
        for queue in batch.queues() {
            self.start_pump(&queue.endpoint);
        }
        let stored = self.queues.store(batch).await;
        self.tell_refusal(stored.as_ref().err().map(|error| crate::error_chain(error)));
        stored.map_err(|_| unavailable("the messages could not be stored"))
    }

    /// Says once that messages are refused, and once that they are stored again.
    fn tell_refusal(&self, problem: Option<String>) {
        let mut known = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*known, &problem) {
            (None, Some(problem)) => tracing::error!("messages are refused: {problem}"),
            (Some(_), None) => tracing::info!("messages are stored again"),
            _ => return,
        }
        self.options.status.set(QUEUES, problem.as_deref().unwrap_or(QUEUES_FINE));
        *known = problem;
        drop(known);
        self.report();
    }

    /// Why messages are refused, while they are.
    pub(super) fn refusal(&self) -> Option<String> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Brings what `system status` shows of the queues up to date.
    pub(super) fn tell_queues(&self) {
        let waiting = self.queues.waiting();
        let by_queue = |value: fn(&Waiting) -> u64| -> Value {
            waiting.iter().map(|(queue, waiting)| (queue.name(), Value::from(value(waiting)))).collect()
        };
        self.options.status.set("queues_waiting", by_queue(|waiting| waiting.messages));
        self.options.status.set("queues_waiting_bytes", by_queue(|waiting| waiting.bytes));
        self.options.status.set("queues_disk_bytes", self.queues.bytes());
        self.options.status.set("messages_dropped", self.dropped.to_json());
        self.options.status.set("losses", self.losses.to_json());
    }
}

/// What came for one output, to be counted.
#[derive(Default)]
struct Output {
    name: String,
    sizes: Vec<usize>,
    without_route: u64,
}

impl Output {
    fn of<'a>(outputs: &'a mut Vec<Self>, name: &str) -> &'a mut Self {
        let known = outputs.iter().position(|output| output.name == name);
        let at = known.unwrap_or_else(|| {
            outputs.push(Self { name: name.to_owned(), ..Self::default() });
            outputs.len() - 1
        });
        &mut outputs[at]
    }
}

fn unavailable(message: &str) -> HubError {
    HubError { status: 503, message: message.to_owned() }
}

/// Who really sent it, whatever the sender wrote.
fn stamp(sender: &Identity, message: Message) -> Message {
    let bag = bag::remove(&message.bag, bag::CONNECTION_MODULE_ID);
    let mut bag = bag::set(&bag, bag::CONNECTION_DEVICE_ID, sender.device_id());
    if let Some(module) = sender.module_id() {
        bag = bag::append(&bag, bag::CONNECTION_MODULE_ID, module);
    }
    Message { bag, body: message.body }
}

/// The output a module names; empty for none. Only modules have outputs.
fn output_of<'a>(sender: &Identity, bag: &'a [u8]) -> Cow<'a, str> {
    sender.module_id().and_then(|_| bag::get(bag, bag::OUTPUT_NAME)).unwrap_or_default()
}

/// `/messages`, `/messages/modules/m` or `/messages/modules/m/outputs/o`.
fn source_of(sender: &Identity, output: &str) -> String {
    match (sender.module_id(), output) {
        (None, _) => "/messages".to_owned(),
        (Some(module), "") => format!("/messages/modules/{module}"),
        (Some(module), output) => format!("/messages/modules/{module}/outputs/{output}"),
    }
}

/// A stamped message as conditions see it.
struct StampedView<'a> {
    message: &'a Message,
    internal: bool,
}

impl MessageView for StampedView<'_> {
    fn application(&self, name: &str) -> Option<Option<Cow<'_, str>>> {
        bag::iter(&self.message.bag)
            .find(|(found, _)| names_equal(found, name) && bag::system_name(found).is_none())
            .map(|(_, value)| value)
    }

    fn system(&self, name: &str) -> Option<Cow<'_, str>> {
        if names_equal(name, "edgeHubOriginInterface") {
            return Some(Cow::Borrowed(if self.internal { "internal" } else { "downstream" }));
        }
        let long = bag::system_name(bag::wire_name(name)?)?;
        bag::iter(&self.message.bag)
            .find(|(found, _)| bag::system_name(found) == Some(long))
            .map(|(_, value)| value.unwrap_or_default())
    }

    fn body(&self) -> &[u8] {
        &self.message.body
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_sender_cannot_pretend_to_be_somebody_else() {
        let forged = Message { bag: Bytes::from_static(b"%24.cdid=other&$.cmid=root&a=1"), body: Bytes::new() };
        let device = stamp(&Identity::device("leaf"), forged.clone());
        assert_eq!(bag::get(&device.bag, bag::CONNECTION_DEVICE_ID).unwrap(), "leaf");
        assert_eq!(bag::get(&device.bag, bag::CONNECTION_MODULE_ID), None);
        assert_eq!(bag::get(&device.bag, "a").unwrap(), "1");
        let module = stamp(&Identity::module("edge", "m"), forged);
        assert_eq!(bag::get(&module.bag, bag::CONNECTION_MODULE_ID).unwrap(), "m");
    }

    #[test]
    fn sources() {
        let module = Identity::module("edge", "m");
        let source = |sender: &Identity, bag: &[u8]| source_of(sender, &output_of(sender, bag));
        assert_eq!(source(&Identity::device("leaf"), b"%24.on=x"), "/messages");
        assert_eq!(source(&module, b"a=1"), "/messages/modules/m");
        assert_eq!(source(&module, b"%24.on=out"), "/messages/modules/m/outputs/out");
    }

    #[test]
    fn conditions_see_properties() {
        let bag = Bytes::from_static(b"Level=high&flag&%24.ct=application%2Fjson&%24.cdid=edge");
        let message = Message { bag, body: Bytes::from_static(b"{}") };
        let view = StampedView { message: &message, internal: true };
        assert_eq!(view.application("level"), Some(Some(Cow::Borrowed("high"))));
        assert_eq!(view.application("flag"), Some(None));
        assert_eq!(view.application("$.ct"), None);
        assert_eq!(view.system("contenttype").unwrap(), "application/json");
        assert_eq!(view.system("connectionDeviceId").unwrap(), "edge");
        assert_eq!(view.system("edgehuborigininterface").unwrap(), "internal");
    }
}
