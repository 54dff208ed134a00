//! Why a message was not queued, or a queue not changed.

use std::sync::Arc;

use protocol::hub::delivery::Undeliverable;
use registry::StoreError;

/// Why a queue was not changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueueError {
    /// The registry failed.
    #[error("the queue of a device could not be changed")]
    Store(#[source] Arc<StoreError>),
    /// Central is stopping.
    #[error("central is stopping")]
    Stopping,
}

impl QueueError {
    /// Whether it is told: the registry's being away is told elsewhere.
    pub(crate) fn is_news(&self) -> bool {
        matches!(self, Self::Store(error) if !error.is_passing())
    }
}

/// Why a message was not queued.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    /// As many wait for the device as may.
    #[error("the queue of the device is full")]
    DeviceFull,
    /// As many wait for the application's devices as may.
    #[error("the queues of the application are full")]
    ApplicationFull,
    /// As many wait for all devices as may.
    #[error("the queues of all applications are full")]
    PlatformFull,
    /// There is no such device.
    #[error("the device is not there")]
    NoDevice,
    /// It cannot wait for no time, nor longer than may be.
    #[error("the message's time to live is out of range")]
    Life,
    /// It could never be delivered.
    #[error(transparent)]
    Undeliverable(#[from] Undeliverable),
    /// The queue was not changed.
    #[error(transparent)]
    Queue(#[from] QueueError),
}
