//! A message comes in: stamped, tested against every route, stored in each queue it goes to, then acknowledged.

use std::borrow::Cow;
use std::sync::PoisonError;

use bytes::Bytes;
use model::identity::Identity;
use model::message::Message;
use model::route::{MessageView, PRIORITY_WITHOUT_NUMBER, names_equal};
use protocol::hub::bag;
use transport::server::HubError;

use super::EdgeHub;
use super::queue::QueueId;
use super::record::QueuedMessage;
use crate::management::{QUEUES, QUEUES_FINE};

/// Source of a reported-property update as routes see it.
pub(super) const TWIN_CHANGES: &str = "/twinChangeNotifications";

impl EdgeHub {
    /// Stores a batch of one sender, in order. Durable in every queue when it returns.
    pub(super) async fn ingest(
        &self,
        sender: &Identity,
        messages: impl Iterator<Item = (Option<&'static str>, Message)>,
    ) -> Result<(), HubError> {
        let Some(config) = self.config() else {
            return Err(unavailable("no routes were seen yet"));
        };
        let internal = sender.device_id() == self.options.device.device_id;
        let mut batches: Vec<(QueueId, Vec<Bytes>)> = Vec::new();
        let mut dropped = 0;
        for (source, message) in messages {
            let message = stamp(sender, message);
            let source = source.map_or_else(|| source_of(sender, &message.bag), str::to_owned);
            let view = StampedView { message: &message, internal };
            let deliveries = config.routes.evaluate(&source, &view);
            dropped += u64::from(deliveries.is_empty());
            for delivery in deliveries {
                let id = QueueId { endpoint: delivery.endpoint.clone(), priority: delivery.priority };
                let lifetime_secs = delivery.ttl_secs.or(config.lifetime_secs);
                let queued = QueuedMessage { sender: sender.clone(), lifetime_secs, message: message.clone() };
                let record = queued.encode();
                match batches.iter_mut().find(|(known, _)| *known == id) {
                    Some((_, records)) => records.push(record),
                    None => batches.push((id, vec![record])),
                }
            }
        }
        if dropped > 0 {
            tracing::debug!(%sender, dropped, "no route takes these messages");
        }
        let stores = batches.into_iter().map(|(id, records)| self.store(id, records));
        crate::join_all(stores).await.into_iter().collect()
    }

    async fn store(&self, id: QueueId, records: Vec<Bytes>) -> Result<(), HubError> {
        debug_assert!(id.priority <= 9 || id.priority == PRIORITY_WITHOUT_NUMBER);
        self.start_pump(&id.endpoint);
        let stored = self.queues.store(&id, records).await;
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
        self.options.board.set(QUEUES, problem.as_deref().unwrap_or(QUEUES_FINE));
        *known = problem;
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

/// `/messages`, `/messages/modules/m` or `/messages/modules/m/outputs/o`.
fn source_of(sender: &Identity, bag: &[u8]) -> String {
    match (sender.module_id(), bag::get(bag, bag::OUTPUT_NAME)) {
        (None, _) => "/messages".to_owned(),
        (Some(module), None) => format!("/messages/modules/{module}"),
        (Some(module), Some(output)) => format!("/messages/modules/{module}/outputs/{output}"),
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
        assert_eq!(source_of(&Identity::device("leaf"), b"%24.on=x"), "/messages");
        assert_eq!(source_of(&module, b"a=1"), "/messages/modules/m");
        assert_eq!(source_of(&module, b"%24.on=out"), "/messages/modules/m/outputs/out");
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
