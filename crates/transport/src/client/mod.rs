//! The device's side of the wire: a hub client that keeps itself connected, provisioning, a small HTTPS client.

mod backoff;
pub mod dps;
mod error;
mod event;
pub mod https;
mod hub;
mod proxy;
mod reconnection;
mod socket;
pub mod token;
mod upgrade;

pub use error::{RequestError, SendError};
pub use event::{ClientEvent, InputMessage, LinkState, MethodCall};
pub use hub::{HubClient, HubClientOptions};
pub use protocol::event::Subscriptions;
pub use proxy::{Proxies, ProxyError, ProxyUrlError};
pub use reconnection::Reconnection;
pub use socket::{OpenError, Way, reach};
pub use token::{SharedKey, TokenError, TokenSource};
