//! The hub's side of the wire.

pub mod admission;
pub mod body;
mod connection;
pub mod gave_way;
mod handler;
pub mod link;
mod listener;
mod slices;
mod web_socket;

pub use admission::{Admission, Admissions, Leave, ServerLimits};
pub use connection::{ConnectionOptions, serve_connection};
pub use gave_way::GaveWay;
pub use handler::{
    Accepted, ConnectRequest, Credential, DpsConnectRequest, Enrolled, HubError, HubHandler, NoProvisioning,
    ProvisioningHandler, Refusal, TelemetryBatch,
};
pub use link::{
    CloseReason, DeliverError, Delivery, DetachedLink, InvokeError, MethodResponse, QueueNumber, SessionLink,
    Subscriptions,
};
pub use listener::{BindError, HubServer};
pub use web_socket::{WebSockets, asks_for_web_socket, is_web_socket_path};

/// What TLS listeners are configured with; made by [`crate::tls::server_config`].
pub type TlsConfig = rustls::ServerConfig;
