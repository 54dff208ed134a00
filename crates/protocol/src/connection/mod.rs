//! One MQTT connection as a state machine without I/O, in the hub's role and in the device's role.
//!
//! ```text
//!            input bytes + now                     events
//! transport ------------------> HubConnection ----------------> handler
//!           <------------------ DeviceConnection <--------------
//!            output bytes, next timeout             commands
//! ```
//!
//! The owner reads bytes into a buffer, calls `poll` until it yields nothing, and then writes what `take_output` gives. So
//! everything one read brought is answered with one write. `poll_timeout` says when `handle_timeout` wants to be called.
//! An error ends the connection: what is left in the output (a CONNACK that refuses) is still written, then it closes.

mod device_side;
mod hub_side;
mod subscriptions;

pub use device_side::{CloseDevice, DeviceConnection, DeviceEvent, DeviceOptions, PublishError};
pub use hub_side::{
    CloseHub, ConnectAttempt, DeliverError, DpsConnectAttempt, HubConnection, HubEvent, PendingRequest,
};
pub use subscriptions::Subscriptions;
