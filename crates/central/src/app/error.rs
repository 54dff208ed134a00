//! Why a request was refused, in terms of the caller.

use api::error::ErrorContext;
use api::permission::Permission;
use hub::device_messages::QueueError;
use hub::group_commit::GroupCommitError;
use hub::twins::ChangeTwinError;
use registry::StoreError;

/// Why a request was refused. The kinds are the interface's; what is inside a failure goes to the log only.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The request cannot be understood.
    #[error("{0}")]
    BadRequest(String),
    /// The caller is not known.
    #[error("the caller is not authenticated")]
    Unauthenticated,
    /// The caller is known and may not.
    #[error("the permission {} is missing", .0.as_str())]
    Forbidden(Permission),
    /// The caller is known, and the request does not show that a page of ours made it.
    #[error("the header X-Tidegate-Csrf is missing")]
    ForgedRequest,
    /// What was named is not there.
    #[error("{0}")]
    NotFound(String),
    /// What was named does not take this method.
    #[error("the method is not allowed")]
    MethodNotAllowed,
    /// What was named is in the way.
    #[error("{0}")]
    Conflict(String),
    /// It changed since the caller read it.
    #[error("the etag does not match")]
    EtagMismatch,
    /// The body is JSON and says what cannot be.
    #[error("{message}")]
    Unprocessable {
        /// What is wrong, as a whole.
        message: String,
        /// What is wrong, part by part.
        faults: Vec<ErrorContext>,
    },
    /// The body is longer than the operation takes.
    #[error("the body is larger than {0} bytes")]
    BodyTooLarge(usize),
    /// The body comes too slowly.
    #[error("the body did not come in time")]
    BodyTooSlow,
    /// The bodies of all requests together are as large as may be.
    #[error("too many requests are read at the same time")]
    Busy,
    /// Too many requests.
    #[error("too many requests")]
    TooManyRequests,
    /// The device is not connected.
    #[error("the device is not connected")]
    DeviceNotConnected,
    /// The device did not answer in time.
    #[error("the device did not answer in time")]
    DeviceTimeout,
    /// As many messages wait for the device as may.
    #[error("the queue of the device is full")]
    QueueFull,
    /// As many messages wait for devices as may.
    #[error("the queues of devices are full")]
    QueuesFull,
    /// It is part of the interface and not offered here.
    #[error("{0}")]
    NotSupported(String),
    /// The disk, or the event log, has no room for the change, which was not made.
    #[error("the change could not be stored")]
    DiskFull(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The registry cannot be used just now; nothing was changed.
    #[error("the registry cannot be used just now")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection to the database broke while the change was made durable: nobody knows whether it was made.
    #[error("whether the change was made is not known")]
    InDoubt(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Something of ours failed.
    #[error("{0}")]
    Internal(&'static str, #[source] Box<dyn std::error::Error + Send + Sync>),
}

impl AppError {
    /// `what` with this id is not there.
    pub fn not_found(what: &str, id: &str) -> Self {
        Self::NotFound(format!("There is no {what} '{id}'."))
    }

    /// The body says what cannot be.
    pub fn unprocessable(message: impl Into<String>, faults: Vec<ErrorContext>) -> Self {
        Self::Unprocessable { message: message.into(), faults }
    }

    /// One part of the body says what cannot be.
    pub fn fault(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        let fault = ErrorContext { data_path: pointer.into(), message: message.clone() };
        Self::Unprocessable { message, faults: vec![fault] }
    }

    /// Something of ours failed while doing `what`.
    pub fn internal(what: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(what, source.into())
    }

    /// What a failure of the registry is to a caller.
    fn of_store(error: &StoreError) -> fn(Box<dyn std::error::Error + Send + Sync>) -> Self {
        match error {
            StoreError::DiskFull(..) | StoreError::OutboxFull => Self::DiskFull,
            StoreError::Unavailable(..) | StoreError::Silent(_) | StoreError::Conflict(..) => Self::Unavailable,
            StoreError::InDoubt(_) => Self::InDoubt,
            _ => |source| Self::Internal("the registry failed", source),
        }
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::EtagMismatch(_) => Self::EtagMismatch,
            StoreError::Missing(_) => Self::NotFound("It is not there any more.".to_owned()),
            StoreError::Duplicate(..) => Self::Conflict("There is such a thing already.".to_owned()),
            StoreError::NulCharacter(_) => Self::BadRequest("A text must not hold the character U+0000.".to_owned()),
            error => Self::of_store(&error)(error.into()),
        }
    }
}

impl From<GroupCommitError> for AppError {
    fn from(error: GroupCommitError) -> Self {
        match error {
            GroupCommitError::Store(error) => Self::of_store(&error)(error.into()),
            error @ GroupCommitError::Stopping => Self::internal("the change could not be made", error),
        }
    }
}

impl From<QueueError> for AppError {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Store(error) => Self::of_store(&error)(error.into()),
            error @ QueueError::Stopping => Self::internal("the queue of a device could not be changed", error),
        }
    }
}

impl From<ChangeTwinError> for AppError {
    fn from(error: ChangeTwinError) -> Self {
        match error {
            ChangeTwinError::Invalid(cause) => Self::fault(cause.path.clone(), cause.to_string()),
            ChangeTwinError::UnknownDevice => Self::NotFound("The device is not there any more.".to_owned()),
            ChangeTwinError::Store(error) => Self::of_store(&error)(error.into()),
            error @ ChangeTwinError::Stopping => Self::internal("the twin could not be changed", error),
        }
    }
}
