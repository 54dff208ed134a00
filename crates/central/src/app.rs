//! What Central does, one file a resource; whoever may ask is decided here.
//!
//! ```text
//!   http/ ──► Access (authorize) ──► app/<resource> ──► registry, twins, sessions, telemetry
//! ```
//!
//! A function that reads or writes for a caller takes an [`Access`]. One can only be had from [`authorize`], so a path around
//! the check does not compile; and it names the application, so every statement below carries the right one.

pub mod access;
pub mod certificates;
pub mod commands;
pub mod devices;
pub mod edge;
pub mod enrollment_groups;
pub mod error;
pub mod files;
pub mod filter;
pub mod fleet;
pub mod health;
pub mod live;
pub mod manifests;
pub mod page;
pub mod properties;
pub mod query;
pub mod relationships;
pub mod resource;
pub mod roles;
pub mod setup;
pub mod sign_in;
pub mod signing_key;
pub mod telemetry_values;
pub mod templates;
pub mod tokens;
pub mod users;

use std::sync::Arc;

pub use access::{Access, Actor, ActorKind, Proof, Resource, authorize};
pub use error::AppError;
use events::last_seen::LastSeen;
use events::live::Live;
use hub::device_messages::DeviceMessages;
use hub::files::Files;
use hub::sessions::Sessions;
use hub::twins::Twins;
use readers::timeseries::TimeSeries;
use registry::{ApplicationRow, Registry};

use sign_in::SignInLimiter;
pub use signing_key::SigningKey;
use templates::ParsedTemplates;

use self::commands::CommandRuns;
use crate::core::Core;

/// People's side of Central: what the HTTP interface calls. Cheap to clone.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

struct Inner {
    core: Core,
    https_port: u16,
    sign_in_limiter: SignInLimiter,
    parsed_templates: ParsedTemplates,
}

impl App {
    /// For what Central is made of; links to the outside carry the port of the HTTPS listener.
    pub fn new(core: Core, https_port: u16) -> Self {
        let (sign_in_limiter, parsed_templates) = (SignInLimiter::default(), ParsedTemplates::default());
        Self { inner: Arc::new(Inner { core, https_port, sign_in_limiter, parsed_templates }) }
    }

    /// The application a request's host name leads to; one of no application is not found.
    pub async fn application_of_host(&self, host: &str) -> Result<Arc<ApplicationRow>, AppError> {
        let found = self.inner.core.applications.by_host(host).await?;
        found.ok_or_else(|| AppError::NotFound(format!("There is no application at '{host}'.")))
    }

    /// What a request at the host name of an application is about.
    pub fn resource_of<'a>(&self, application: &'a Arc<ApplicationRow>) -> Resource<'a> {
        Resource { application, runs_installation: application.id == self.inner.core.applications.first().id }
    }

    /// Live events.
    pub fn live(&self) -> &Live {
        &self.inner.core.live
    }

    /// Address of the provisioning service. Any host name leads to it: the scope says whose devices register.
    pub fn provisioning_endpoint(&self) -> String {
        format!("https://{}:{}", self.inner.core.applications.hostname(), self.inner.https_port)
    }

    fn registry(&self) -> &Registry {
        &self.inner.core.registry
    }

    fn sessions(&self) -> &Sessions {
        &self.inner.core.sessions
    }

    fn command_runs(&self) -> &CommandRuns {
        &self.inner.core.command_runs
    }

    fn device_messages(&self) -> &DeviceMessages {
        &self.inner.core.messages
    }

    fn device_files(&self) -> &Files {
        &self.inner.core.files
    }

    fn last_seen(&self) -> &LastSeen {
        &self.inner.core.last_seen
    }

    fn twins(&self) -> &Twins {
        &self.inner.core.twins
    }

    fn telemetry(&self) -> &TimeSeries {
        &self.inner.core.telemetry
    }

    /// The key that signs an application's API tokens.
    fn signing_key(&self, application: &str) -> Result<SigningKey, AppError> {
        let key = self.inner.core.signing_keys.of(application);
        key.map_err(|error| AppError::internal("an application's key for API tokens cannot be had", error))
    }

    fn parsed_templates(&self) -> &ParsedTemplates {
        &self.inner.parsed_templates
    }

    fn sign_in_limiter(&self) -> &SignInLimiter {
        &self.inner.sign_in_limiter
    }
}
