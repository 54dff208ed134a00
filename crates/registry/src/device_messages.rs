//! Messages that wait for devices, what became of them, and the runs of commands that wait with them.
//!
//! ```text
//!              put ──▶ waiting ──take──▶ on its way ──settle──▶ ended: completed, rejected
//!                        ▲  │              │  (locked)
//!                        │  │              └── abandon, or the lock's time is over ──┐
//!                        │  └── expired, purged ──▶ ended                            │
//!                        └── fewer deliveries than may be ◀────────────────────────────┤
//!                                       ended: delivered too often ◀──────────────────┘
//! ```
//!
//! A message that ended is no row any more. Its end, the feedback that was asked for and the state of the command it ran become
//! durable together.

mod commands;

use super::engine::{Locks, Statement, Transaction};
use super::{Act, Registry, StoreError, new_id};

pub use commands::{QueuedCommandRow, QueuedCommandState};

const TABLE: &str = "device_messages";
const FEEDBACK: &str = "device_message_feedback";

/// What a transaction over messages is for.
const CHANGE: Act = Act { act: "change the messages of devices", table: TABLE };

/// What the sender wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ack {
    /// Nothing.
    #[default]
    None,
    /// That the device took it.
    Positive,
    /// That it did not.
    Negative,
    /// Either.
    Full,
}

impl Ack {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Positive => "positive",
            Self::Negative => "negative",
            Self::Full => "full",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::None, Self::Positive, Self::Negative, Self::Full].into_iter().find(|ack| ack.as_str() == name)
    }

    fn wants(self, end: EndOfMessage) -> bool {
        match self {
            Self::None => false,
            Self::Positive => end == EndOfMessage::Completed,
            Self::Negative => end != EndOfMessage::Completed,
            Self::Full => true,
        }
    }
}

/// How a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndOfMessage {
    /// The device took it.
    Completed,
    /// The device refused it.
    Rejected,
    /// Its time was over.
    Expired,
    /// It was delivered as often as may be, and never settled.
    DeliveryCountExceeded,
    /// The queue was emptied.
    Purged,
}

impl EndOfMessage {
    /// Every end.
    pub const ALL: [Self; 5] =
        [Self::Completed, Self::Rejected, Self::Expired, Self::DeliveryCountExceeded, Self::Purged];

    /// Its name in feedback.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "Success",
            Self::Rejected => "Rejected",
            Self::Expired => "Expired",
            Self::DeliveryCountExceeded => "DeliveryCountExceeded",
            Self::Purged => "Purged",
        }
    }
}

/// A message to be put into a device's queue.
#[derive(Debug, Clone)]
pub struct NewDeviceMessage {
    /// Its id, for feedback.
    pub id: String,
    /// Its properties.
    pub bag: String,
    /// Its body.
    pub body: Vec<u8>,
    /// What the sender wants to be told.
    pub ack: Ack,
    /// When it came.
    pub enqueued_ms: i64,
    /// When its time is over.
    pub expires_ms: i64,
    /// The command it runs.
    pub command: Option<QueuedCommandRow>,
}

/// A message of a device's queue.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct DeviceMessageRow {
    /// Its number, which no other message of the device has or had.
    pub sequence: i64,
    /// Its id.
    pub id: String,
    /// Its properties.
    pub bag: String,
    /// Its body.
    pub body: Vec<u8>,
    /// What the sender wants to be told, by its name on the wire.
    pub ack: String,
    /// When it came.
    pub enqueued_ms: i64,
    /// When its time is over.
    pub expires_ms: i64,
    /// How often it was delivered before.
    pub deliveries: i64,
}

/// What [`MessageTransaction::put`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutMessage {
    /// It waits.
    Put {
        /// Its number.
        sequence: i64,
    },
    /// The queue has as many as it may.
    Full,
    /// The device is not there.
    NoDevice,
}

/// What is to be taken from a queue.
#[derive(Debug, Clone)]
pub struct TakeMessages<'a> {
    /// Whose queue.
    pub application: &'a str,
    /// See there.
    pub device: &'a str,
    /// The token that locks them; without one they are on their way to a session.
    pub lock: Option<&'a str>,
    /// Those that are on their way to a session already.
    pub under_way: &'a [i64],
    /// So many at the most.
    pub most: u32,
    /// How often a message may be delivered.
    pub deliveries_max: i64,
    /// Now.
    pub now_ms: i64,
    /// Until when they are held, or do not expire.
    pub until_ms: i64,
}

/// What was taken.
#[derive(Debug, Clone, Default)]
pub struct TakenMessages {
    /// In order.
    pub messages: Vec<DeviceMessageRow>,
    /// Whether some ended instead.
    pub have_ended: bool,
    /// When the first of those that others hold is free again, where nothing was taken.
    pub free_at_ms: Option<i64>,
}

/// Which message of a device is meant.
#[derive(Debug, Clone, Copy)]
pub enum WhichMessage<'a> {
    /// By its number.
    Sequence(i64),
    /// By its lock, as long as it is held.
    Lock(&'a str),
}

/// What a device did with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// Took it.
    Complete,
    /// Refused it for good.
    Reject,
    /// Gave it back. A message that was delivered so often before ends with it.
    Abandon {
        /// See there.
        deliveries_max: i64,
    },
}

/// A message that is not in its queue any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedMessage {
    /// Whose it was.
    pub application: String,
    /// See there.
    pub device: String,
    /// Its number.
    pub sequence: i64,
    /// Its id.
    pub id: String,
    /// The bytes it took.
    pub bytes: u64,
    /// How it ended.
    pub end: EndOfMessage,
}

/// How long a device's queue is.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct QueueLength {
    /// The application.
    pub application: String,
    /// The device.
    pub device: String,
    /// Its messages.
    pub messages: i64,
    /// Their bytes.
    pub bytes: i64,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct FeedbackRow {
    /// Id of the record.
    pub id: String,
    /// The message.
    pub message: String,
    /// The device it was for.
    pub device: String,
    /// That device's generation.
    pub generation: String,
    /// `Success`, `Expired`, `DeliveryCountExceeded`, `Rejected` or `Purged`.
    pub outcome: String,
    /// When the message came.
    pub enqueued_ms: i64,
    /// When it ended.
    pub at_ms: i64,
}

/// What the end of a message needs to know of it.
#[derive(sqlx::FromRow)]
struct EndingRow {
    application: String,
    device: String,
    sequence: i64,
    generation: String,
    id: String,
    ack: String,
    run: Option<String>,
    enqueued_ms: i64,
    deliveries: i64,
    bytes: i64,
}

/// Its columns.
const ENDING: &str = "application, device, sequence, generation, id, ack, run, enqueued_ms, deliveries, \
     CAST(LENGTH(body) + LENGTH(bag) AS BIGINT) AS bytes";

#[derive(sqlx::FromRow)]
struct Numbered {
    last_message: i64,
    generation_id: String,
}

/// Changes of queues that become durable together.
pub struct MessageTransaction {
    transaction: Transaction,
    feedback_max: u32,
    /// Applications that have more feedback than before.
    told: Vec<String>,
    ended: Vec<EndedMessage>,
}

impl MessageTransaction {
    /// Puts a message at the end of a queue that has fewer than `most`, after those whose time is over have left it.
    pub async fn put(
        &mut self,
        application: &str,
        device: &str,
        message: &NewDeviceMessage,
        most: u32,
    ) -> Result<PutMessage, StoreError> {
        self.expire_of(application, device, message.enqueued_ms).await?;
        let number = Statement::new(
            "number a message for a device",
            "devices",
            "UPDATE devices SET last_message = last_message + 1 WHERE application = $1 AND id = $2 AND (SELECT COUNT(*) \
             FROM device_messages WHERE application = $1 AND device = $2) < $3 RETURNING last_message, generation_id",
        );
        let number = number.bind(application).bind(device).bind(i64::from(most));
        let Some(Numbered { last_message, generation_id }) = self.transaction.fetch_optional(&number).await? else {
            let is_there = self.is_there(application, device).await?;
            return Ok(if is_there { PutMessage::Full } else { PutMessage::NoDevice });
        };
        let put = "INSERT INTO device_messages (application, device, sequence, generation, id, bag, body, ack, run, \
             enqueued_ms, expires_ms, deliveries, locked_until_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 0)";
        let put = Statement::new("put a message into a device's queue", TABLE, put)
            .bind(application)
            .bind(device)
            .bind(last_message)
            .bind(generation_id)
            .bind(&message.id)
            .bind(&message.bag)
            .bind(message.body.as_slice())
            .bind(message.ack.as_str())
            .bind(message.command.as_ref().map(|command| command.id.as_str()))
            .bind(message.enqueued_ms)
            .bind(message.expires_ms);
        self.transaction.execute(&put).await?;
        if let Some(command) = &message.command {
            self.add_command(application, device, command).await?;
        }
        Ok(PutMessage::Put { sequence: last_message })
    }

    async fn is_there(&mut self, application: &str, device: &str) -> Result<bool, StoreError> {
        let sql = "SELECT id FROM devices WHERE application = $1 AND id = $2";
        let look = Statement::new("look for a device", "devices", sql).bind(application).bind(device);
        let found: Option<(String,)> = self.transaction.fetch_optional(&look).await?;
        Ok(found.is_some())
    }

    /// Takes messages to be delivered, in order; each counts as delivered once more.
    pub async fn take(&mut self, wanted: &TakeMessages<'_>) -> Result<TakenMessages, StoreError> {
        let TakeMessages { application, device, under_way, now_ms, .. } = *wanted;
        let have_ended = self.expire_of(application, device, now_ms).await? > 0;
        let mut taken = TakenMessages { have_ended, ..TakenMessages::default() };
        let sql = "SELECT sequence, id, bag, body, ack, enqueued_ms, expires_ms, deliveries FROM device_messages \
             WHERE application = $1 AND device = $2 AND (lock_token IS NULL OR locked_until_ms <= $3) \
             ORDER BY sequence LIMIT $4";
        let rows = u64::from(wanted.most) + under_way.len() as u64;
        let free = Statement::new("read a device's queue", TABLE, sql);
        let free = free.bind(application).bind(device).bind(now_ms).bind(rows);
        let free: Vec<DeviceMessageRow> = self.transaction.fetch_all(&free).await?;
        let free = free.into_iter().filter(|message| !under_way.contains(&message.sequence));
        for mut message in free.take(usize::try_from(wanted.most).unwrap_or(usize::MAX)) {
            if message.deliveries >= wanted.deliveries_max {
                let ending = self.ending(application, device, WhichMessage::Sequence(message.sequence), now_ms).await?;
                if let Some(row) = ending {
                    self.end(row, EndOfMessage::DeliveryCountExceeded, now_ms).await?;
                    taken.have_ended = true;
                }
                continue;
            }
            self.mark_taken(wanted, message.sequence).await?;
            message.deliveries += 1;
            taken.messages.push(message);
        }
        if taken.messages.is_empty() {
            let sql = "SELECT MIN(locked_until_ms) FROM device_messages WHERE application = $1 AND device = $2 \
                 AND lock_token IS NOT NULL AND locked_until_ms > $3";
            let held = Statement::new("read a device's queue", TABLE, sql);
            let held = held.bind(application).bind(device).bind(now_ms);
            let held: Option<(Option<i64>,)> = self.transaction.fetch_optional(&held).await?;
            taken.free_at_ms = held.and_then(|(at_ms,)| at_ms);
        }
        Ok(taken)
    }

    async fn mark_taken(&mut self, wanted: &TakeMessages<'_>, sequence: i64) -> Result<(), StoreError> {
        let sql = "UPDATE device_messages SET deliveries = deliveries + 1, lock_token = $4, locked_until_ms = $5 \
             WHERE application = $1 AND device = $2 AND sequence = $3 RETURNING run";
        let mark = Statement::new("mark a message as delivered", TABLE, sql)
            .bind(wanted.application)
            .bind(wanted.device)
            .bind(sequence)
            .bind(wanted.lock)
            .bind(wanted.until_ms);
        let marked: Option<(Option<String>,)> = self.transaction.fetch_optional(&mark).await?;
        if let Some((Some(run),)) = marked {
            self.change_command(wanted.application, &run, QueuedCommandState::Sent, wanted.now_ms).await?;
        }
        Ok(())
    }

    /// Settles a message; `false` when it is not there any more or the lock is not held. A message that is given back for the
    /// last time ends.
    pub async fn settle(
        &mut self,
        application: &str,
        device: &str,
        which: WhichMessage<'_>,
        settlement: Settlement,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let Some(row) = self.ending(application, device, which, now_ms).await? else { return Ok(false) };
        let end = match settlement {
            Settlement::Complete => EndOfMessage::Completed,
            Settlement::Reject => EndOfMessage::Rejected,
            Settlement::Abandon { deliveries_max } if row.deliveries >= deliveries_max => {
                EndOfMessage::DeliveryCountExceeded
            }
            Settlement::Abandon { .. } => {
                let sql = "UPDATE device_messages SET lock_token = NULL, locked_until_ms = 0 \
                     WHERE application = $1 AND device = $2 AND sequence = $3";
                let free = Statement::new("give a message back", TABLE, sql);
                let free = free.bind(application).bind(device).bind(row.sequence);
                return self.transaction.execute(&free).await.map(|_| true);
            }
        };
        self.end(row, end, now_ms).await?;
        Ok(true)
    }

    /// Empties a queue; answers how many messages it had.
    pub async fn purge(&mut self, application: &str, device: &str, now_ms: i64) -> Result<usize, StoreError> {
        let sql = format!("SELECT {ENDING} FROM device_messages WHERE application = $1 AND device = $2");
        let all = Statement::new("read a device's queue", TABLE, sql).bind(application).bind(device);
        self.end_all(&all, EndOfMessage::Purged, now_ms).await
    }

    /// Ends messages of whatever device whose time is over, `most` of them; answers how many.
    pub async fn expire(&mut self, now_ms: i64, most: u32) -> Result<usize, StoreError> {
        let sql = format!(
            "SELECT {ENDING} FROM device_messages WHERE expires_ms <= $1 AND locked_until_ms <= $1 \
             ORDER BY expires_ms, application, device, sequence LIMIT $2"
        );
        let expired = Statement::new("look for expired messages", TABLE, sql).bind(now_ms).bind(i64::from(most));
        self.end_all(&expired, EndOfMessage::Expired, now_ms).await
    }

    async fn expire_of(&mut self, application: &str, device: &str, now_ms: i64) -> Result<usize, StoreError> {
        let sql = format!(
            "SELECT {ENDING} FROM device_messages WHERE application = $1 AND device = $2 AND expires_ms <= $3 \
             AND locked_until_ms <= $3"
        );
        let expired = Statement::new("look for expired messages", TABLE, sql);
        let expired = expired.bind(application).bind(device).bind(now_ms);
        self.end_all(&expired, EndOfMessage::Expired, now_ms).await
    }

    async fn end_all(
        &mut self,
        statement: &Statement<'_>,
        end: EndOfMessage,
        now_ms: i64,
    ) -> Result<usize, StoreError> {
        let rows: Vec<EndingRow> = self.transaction.fetch_all(statement).await?;
        let count = rows.len();
        for row in rows {
            self.end(row, end, now_ms).await?;
        }
        Ok(count)
    }

    async fn ending(
        &mut self,
        application: &str,
        device: &str,
        which: WhichMessage<'_>,
        now_ms: i64,
    ) -> Result<Option<EndingRow>, StoreError> {
        let condition = match which {
            WhichMessage::Sequence(_) => "sequence = $3",
            WhichMessage::Lock(_) => "lock_token = $3 AND locked_until_ms > $4",
        };
        let sql =
            format!("SELECT {ENDING} FROM device_messages WHERE application = $1 AND device = $2 AND {condition}");
        let find = Statement::new("look for a message", TABLE, sql).bind(application).bind(device);
        let find = match which {
            WhichMessage::Sequence(sequence) => find.bind(sequence),
            WhichMessage::Lock(token) => find.bind(token).bind(now_ms),
        };
        self.transaction.fetch_optional(&find).await
    }

    /// Ends a message: it leaves the queue, whoever wanted to know is told, and the command it ran has its last state.
    async fn end(&mut self, row: EndingRow, end: EndOfMessage, now_ms: i64) -> Result<(), StoreError> {
        let EndingRow { application, device, sequence, generation, id, ack, run, enqueued_ms, bytes, .. } = row;
        let sql = "DELETE FROM device_messages WHERE application = $1 AND device = $2 AND sequence = $3";
        let delete = Statement::new("end a message", TABLE, sql).bind(&application).bind(&device).bind(sequence);
        self.transaction.execute(&delete).await?;
        if Ack::from_name(&ack).unwrap_or_default().wants(end) {
            let sql = "INSERT INTO device_message_feedback (application, id, message, device, generation, outcome, \
                 enqueued_ms, at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
            let tell = Statement::new("tell what became of a message", FEEDBACK, sql)
                .bind(&application)
                .bind(new_id())
                .bind(&id)
                .bind(&device)
                .bind(generation)
                .bind(end.as_str())
                .bind(enqueued_ms)
                .bind(now_ms);
            self.transaction.execute(&tell).await?;
            if !self.told.contains(&application) {
                self.told.push(application.clone());
            }
        }
        if let Some(run) = run {
            self.change_command(&application, &run, QueuedCommandState::of(end), now_ms).await?;
        }
        let bytes = u64::try_from(bytes).unwrap_or(0);
        self.ended.push(EndedMessage { application, device, sequence, id, bytes, end });
        Ok(())
    }

    /// Makes it durable; answers what ended by it.
    pub async fn commit(mut self) -> Result<Vec<EndedMessage>, StoreError> {
        for application in std::mem::take(&mut self.told) {
            let sql = "DELETE FROM device_message_feedback WHERE application = $1 AND id IN (SELECT id \
                 FROM device_message_feedback WHERE application = $1 ORDER BY at_ms DESC, id DESC LIMIT 1000 OFFSET $2)";
            let drop_old = Statement::new("drop the oldest feedback", FEEDBACK, sql);
            let drop_old = drop_old.bind(&application).bind(i64::from(self.feedback_max));
            self.transaction.execute(&drop_old).await?;
        }
        self.transaction.commit().await?;
        Ok(self.ended)
    }
}

impl Registry {
    /// Starts a group of changes to the queues of these devices, given by application and id; each application keeps so much feedback.
    pub async fn message_transaction<'d>(
        &self,
        devices: impl IntoIterator<Item = (&'d str, &'d str)>,
        feedback_max: u32,
    ) -> Result<MessageTransaction, StoreError> {
        let transaction = self.engine.begin(&Locks::devices(devices), CHANGE).await?;
        Ok(MessageTransaction { transaction, feedback_max, told: Vec::new(), ended: Vec::new() })
    }

    /// The devices that have messages, with how many.
    pub async fn message_queues(&self) -> Result<Vec<QueueLength>, StoreError> {
        let sql = "SELECT application, device, COUNT(*) AS messages, \
             CAST(SUM(LENGTH(body) + LENGTH(bag)) AS BIGINT) AS bytes FROM device_messages GROUP BY application, device";
        self.engine.fetch_all(Statement::new("count the messages of devices", TABLE, sql)).await
    }

    /// What became of messages, of one device or all, oldest first.
    pub async fn message_feedback(
        &self,
        application: &str,
        device: Option<&str>,
        most: u32,
    ) -> Result<Vec<FeedbackRow>, StoreError> {
        let sql = "SELECT id, message, device, generation, outcome, enqueued_ms, at_ms FROM device_message_feedback \
             WHERE application = $1 AND ($2 IS NULL OR device = $2) ORDER BY at_ms, id LIMIT $3";
        let statement = Statement::new("read what became of messages", FEEDBACK, sql);
        self.engine.fetch_all(statement.bind(application).bind(device).bind(i64::from(most))).await
    }

    /// Forgets what became of messages before a time, of every application.
    pub async fn message_feedback_forget(&self, before_ms: i64) -> Result<u64, StoreError> {
        let sql = "DELETE FROM device_message_feedback WHERE at_ms < $1";
        self.engine.execute(Statement::new("forget old feedback", FEEDBACK, sql).bind(before_ms)).await
    }
}
