//! Why something asked of a hub client was not done.

/// Why messages may not have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The connection ended before every message was acknowledged: some may have arrived. Send all of them again.
    #[error("the connection ended before the messages were acknowledged")]
    Disconnected,
    /// A message cannot be delivered (see `protocol::hub::delivery`), or there are too many in one call. Nothing was sent.
    #[error("a message is too large, or there are too many")]
    TooLarge,
    /// The client was stopped.
    #[error("the client was stopped")]
    Stopped,
}

/// Why a twin request was not answered as hoped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The hub refused.
    #[error("the hub refused with status {status}: {message}")]
    Refused {
        /// HTTP-like status.
        status: u16,
        /// The hub's words.
        message: String,
    },
    /// There is no connection, or it ended before the answer came.
    #[error("there is no connection to the hub")]
    Disconnected,
    /// No answer in time.
    #[error("the hub did not answer in time")]
    Timeout,
    /// The client was stopped.
    #[error("the client was stopped")]
    Stopped,
}
