//! What Central does, one file a resource; whoever may ask is decided here.
//!
//! ```text
//!   http/ ──► Access (authorize) ──► app/<resource> ──► store/, twins, sessions, telemetry
//! ```
//!
//! A function that reads or writes for a caller takes an [`Access`]. One can only be had from [`authorize`], so a path around
//! the check does not compile; and it names the application, so every statement below carries the right one.

pub mod access;
pub mod commands;
pub mod devices;
pub mod edge;
pub mod enrollment_groups;
pub mod error;
pub mod filter;
pub mod fleet;
pub mod manifests;
pub mod page;
pub mod properties;
pub mod query;
pub mod relationships;
pub mod roles;
pub mod setup;
pub mod sign_in;
pub mod signing_key;
pub mod telemetry_values;
pub mod templates;
pub mod tokens;
pub mod users;

use std::sync::Arc;

pub use access::{Access, Actor, ActorKind, Resource, authorize};
pub use error::AppError;
pub use signing_key::SigningKey;

use events::live::Live;
use hub::sessions::Sessions;
use hub::twins::Twins;
use readers::timeseries::Telemetry;
use registry::{ApplicationRow, Registry};

use sign_in::SignInLimiter;

/// What an application is put together from.
pub struct AppParts {
    /// The registry.
    pub registry: Registry,
    /// Who is connected.
    pub sessions: Sessions,
    /// Twins.
    pub twins: Twins,
    /// Telemetry.
    pub telemetry: Telemetry,
    /// Live events.
    pub live: Live,
    /// The application served.
    pub application: ApplicationRow,
    /// Signs its API tokens.
    pub signing_key: SigningKey,
    /// Address of the provisioning service, for people to copy.
    pub provisioning_endpoint: String,
}

/// The application as the HTTP interface uses it. Cheap to clone.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

struct Inner {
    parts: AppParts,
    sign_in_limiter: SignInLimiter,
}

impl App {
    /// Puts the application together.
    pub fn new(parts: AppParts) -> Self {
        Self { inner: Arc::new(Inner { parts, sign_in_limiter: SignInLimiter::default() }) }
    }

    /// The application served.
    pub fn application(&self) -> &ApplicationRow {
        &self.inner.parts.application
    }

    /// Live events.
    pub fn live(&self) -> &Live {
        &self.inner.parts.live
    }

    /// Address of the provisioning service.
    pub fn provisioning_endpoint(&self) -> &str {
        &self.inner.parts.provisioning_endpoint
    }

    fn registry(&self) -> &Registry {
        &self.inner.parts.registry
    }

    fn sessions(&self) -> &Sessions {
        &self.inner.parts.sessions
    }

    fn twins(&self) -> &Twins {
        &self.inner.parts.twins
    }

    fn telemetry(&self) -> &Telemetry {
        &self.inner.parts.telemetry
    }

    fn signing_key(&self) -> &SigningKey {
        &self.inner.parts.signing_key
    }

    fn sign_in_limiter(&self) -> &SignInLimiter {
        &self.inner.sign_in_limiter
    }
}
