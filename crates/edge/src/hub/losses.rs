//! What is lost, and told to people: messages that cannot be delivered (*dead letters*), and what became of damaged queues.
//!
//! Counts and the newest of each are kept in `hub/losses.json`, reported in the section of `$edgeHub` (`messagesUndeliverable`,
//! `queuesDamaged`) and shown by `system status`. Written a few times a second at most, whoever sends what cannot be delivered:
//! a kill forgets the newest, which were also counted in the metrics.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use model::route::Endpoint;
use model::twin::format_time;
use protocol::hub::bag;
use protocol::hub::delivery::Undeliverable;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::sync::Notify;

use super::queue::endpoint_name;
use super::record::StoredMessage;
use crate::limits::{DEAD_LETTERS_KEPT_MAX, LOSSES_KEPT_MAX};
use crate::state::{self, State, StateError, StateKind};

/// A message that was acknowledged to its sender and cannot be delivered to one of its endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeadLetter {
    time: String,
    from: String,
    to: String,
    reason: String,
    /// The sender's own name for it, if it gave one.
    message_id: Option<String>,
    properties_bytes: usize,
    body_bytes: usize,
}

/// Something stored that was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Loss {
    /// When it was found.
    time: String,
    /// Which part, what was wrong with it, and what became of it.
    what: String,
}

/// What is on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Kept {
    undeliverable: u64,
    dead_letters: VecDeque<DeadLetter>,
    damaged: u64,
    losses: VecDeque<Loss>,
}

impl State for Kept {
    const KIND: &'static StateKind = &state::LOSSES;
}

#[derive(Default)]
struct Pending {
    kept: Kept,
    /// Undeliverable messages that were not yet told of in the log of the program.
    untold: u64,
    dirty: bool,
}

/// All of them.
pub(super) struct Losses {
    path: PathBuf,
    state: Mutex<Pending>,
    changed: Notify,
}

impl Losses {
    /// What is known from earlier.
    pub(super) fn open(path: PathBuf) -> Result<Self, StateError> {
        let kept = state::open(&path)?.unwrap_or_default();
        Ok(Self { path, state: Mutex::new(Pending { kept, ..Pending::default() }), changed: Notify::new() })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Pending) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a message in that cannot be delivered.
    pub(super) fn bury(&self, endpoint: &Endpoint, stored: &StoredMessage, why: &Undeliverable) {
        let message = &stored.message;
        let letter = DeadLetter {
            time: now(),
            from: stored.sender.to_string(),
            to: endpoint_name(endpoint),
            reason: why.to_string(),
            message_id: bag::get(&message.bag, bag::MESSAGE_ID).map(|id| id.chars().take(128).collect()),
            properties_bytes: message.bag.len(),
            body_bytes: message.body.len(),
        };
        self.with(|state| {
            state.kept.undeliverable += 1;
            state.untold += 1;
            keep(&mut state.kept.dead_letters, letter, DEAD_LETTERS_KEPT_MAX);
            state.dirty = true;
        });
        self.changed.notify_one();
    }

    /// Tells and notes that something stored was found damaged.
    pub(super) fn note(&self, what: String) {
        self.with(|state| {
            state.kept.damaged += 1;
            tracing::error!("something stored was damaged: {what}");
            keep(&mut state.kept.losses, Loss { time: now(), what }, LOSSES_KEPT_MAX);
            state.dirty = true;
        });
        self.changed.notify_one();
    }

    /// Waits until there is something to write.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Tells of what came since, and writes it; says whether there was something. Blocks.
    pub(super) fn write(&self) -> bool {
        let (kept, untold) = self.with(|state| {
            let kept = std::mem::take(&mut state.dirty).then(|| state.kept.clone());
            (kept, std::mem::take(&mut state.untold))
        });
        let Some(kept) = kept else { return false };
        if let Some(DeadLetter { from, to, reason, .. }) = kept.dead_letters.back().filter(|_| untold > 0) {
            tracing::warn!(
                messages = untold,
                from,
                to,
                reason,
                "messages that cannot be delivered are dead letters now"
            );
        }
        if let Err(error) = state::write(&self.path, &kept) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot keep what was lost; it will be told until the end"
            );
            self.with(|state| state.dirty = true);
        }
        true
    }

    /// Adds what people should see of it to the reported section.
    pub(super) fn add_to(&self, section: &mut Value) {
        self.with(|Pending { kept, .. }| {
            if let Some(last) = kept.dead_letters.back() {
                section["messagesUndeliverable"] = json!({ "count": kept.undeliverable, "last": last });
            }
            if let Some(last) = kept.losses.back() {
                section["queuesDamaged"] = json!({ "count": kept.damaged, "last": last });
            }
        });
    }

    /// All that is kept, for `system status`.
    pub(super) fn to_json(&self) -> Value {
        self.with(|Pending { kept, .. }| {
            json!({
                "undeliverable": kept.undeliverable, "dead_letters": kept.dead_letters,
                "damaged": kept.damaged, "losses": kept.losses,
            })
        })
    }
}

impl Drop for Losses {
    /// An orderly end forgets nothing.
    fn drop(&mut self) {
        self.write();
    }
}

/// Puts one at the end; of too many the oldest goes.
fn keep<T>(kept: &mut VecDeque<T>, newest: T, most: usize) {
    while kept.len() >= most {
        kept.pop_front();
    }
    kept.push_back(newest);
}

fn now() -> String {
    format_time(OffsetDateTime::now_utc())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use model::identity::Identity;
    use model::message::Message;

    use super::*;

    fn message(id: usize) -> StoredMessage {
        let message = Message { bag: Bytes::from(format!("%24.mid=m{id}")), body: Bytes::from_static(b"xy") };
        StoredMessage { sender: Identity::device("leaf"), stored_at_ms: 0, message }
    }

    #[test]
    fn all_are_counted_and_the_newest_are_kept_over_a_restart() {
        let complaints = testkit::complaints::Complaints::watch();
        complaints.expect("messages that cannot be delivered are dead letters now messages=");
        complaints.expect("something stored was damaged: loss");
        let dir = tempfile::tempdir().unwrap();
        let open = || Losses::open(dir.path().join("losses.json")).unwrap();
        let losses = open();
        for id in 0..=DEAD_LETTERS_KEPT_MAX {
            losses.bury(&Endpoint::Upstream, &message(id), &Undeliverable::InputName);
        }
        (0..=LOSSES_KEPT_MAX).for_each(|number| losses.note(format!("loss {number}")));
        losses.write();
        let kept = open().to_json();
        assert_eq!(kept["undeliverable"], DEAD_LETTERS_KEPT_MAX + 1);
        assert_eq!(kept["dead_letters"].as_array().map(Vec::len), Some(DEAD_LETTERS_KEPT_MAX));
        assert_eq!(kept["dead_letters"][0]["messageId"], "m1");
        assert_eq!(kept["damaged"], LOSSES_KEPT_MAX + 1);
        assert_eq!(kept["losses"].as_array().map(Vec::len), Some(LOSSES_KEPT_MAX));
        let mut section = json!({});
        open().add_to(&mut section);
        assert_eq!(section["messagesUndeliverable"]["last"]["from"], "leaf");
        assert_eq!(section["messagesUndeliverable"]["last"]["to"], "$upstream");
        assert_eq!(section["queuesDamaged"]["last"]["what"], format!("loss {LOSSES_KEPT_MAX}"));
        assert!(section.to_string().len() < 4096);
    }
}
