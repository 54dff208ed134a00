//! The device's side of the wire: a hub client that keeps itself connected, provisioning, a small HTTPS client.

pub mod backoff;
pub mod dps;
pub mod error;
pub mod event;
pub mod https;
pub mod hub;
pub mod socket;
pub mod token;

pub use error::{RequestError, SendError};
pub use event::{ClientEvent, InputMessage, LinkState, MethodCall};
pub use hub::{HubClient, HubClientOptions};
pub use protocol::event::Subscriptions;
pub use token::{SharedKey, TokenError, TokenSource};
