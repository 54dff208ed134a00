//! Provisioning: a device that holds a key or certificate of an enrollment learns its hub, and the registry learns the device.
//!
//! ```text
//!   attest    token ──► application of the id scope ──► individual attestation of the device, else each group's derived key
//!             certificate ──────────────────────────► individual attestation of the device, else each group's authorities
//!   register  create the device if nobody announced it · template by model id · keys · gateway   ──► "assigning"
//!   status    where the registration stands now                                                  ──► "assigned" | refused
//! ```
//!
//! Everything is done when `register` answers; it still says "assigning", as the cloud does and clients expect. `register` is
//! idempotent and may be killed at any step: the next one finishes what is missing, and a device that registers again keeps
//! its template, twin and data.
//!
//! A device id is the registration id as first written. Registration ids ignore case, so a device whose id differs in case
//! only is the same one. The key derived from the group is also the device's key at the hub. A certificate is for the
//! registration its common name says, and is the device's at the hub too.

mod groups;

use std::sync::Arc;

use events::clock::{now_ms, rfc3339_ms};
use events::last_seen::LastSeen;
use protocol::auth::certificate::ClientCertificate;
use protocol::auth::sas::{self, SasToken};
use protocol::dps::{
    self, AssignmentStatus, CertificateInfo, DpsError, OperationStatus, RegisterRequest, RegistrationState,
    SymmetricKeyResult, X509Result,
};
use protocol::limits::TOKEN_GRACE;
use registry::{
    DeviceProof, DeviceRow, EnrollmentGroupRow, Ground, NewDevice, Registry, RelationshipRow, StoreError,
    SymmetricKeys, TemplateRow,
};
use sha2::{Digest, Sha256};
use transport::server::Credential;

use crate::applications::Applications;
use crate::certificates;
use crate::metrics::HubMetrics;
use groups::Groups;

#[cfg(test)]
mod tests;

/// Code of a device that is blocked or waits for approval.
const CODE_NOT_ALLOWED: u32 = 400_209;

/// The provisioning service. Cheap to clone.
#[derive(Clone)]
pub struct Provisioning {
    registry: Registry,
    groups: Arc<Groups>,
    applications: Applications,
    last_seen: LastSeen,
    metrics: HubMetrics,
}

/// A client that proved to be of an enrollment.
#[derive(Debug, Clone)]
pub struct Enrollee {
    app: Arc<str>,
    /// The host name its application's devices are told.
    hub_host: String,
    registration_id: String,
    device_id: String,
    /// The keys it has at the hub, if it does not show its certificate there too.
    keys: Option<SymmetricKeys>,
    group: Option<EnrollmentGroupRow>,
    /// The device as it was, if it was there.
    known: Option<Known>,
    proof: Arc<Proof>,
}

/// What an enrollee proved itself with, to be judged again.
struct Proof {
    id_scope: String,
    credential: Credential,
    ends_at_secs: u64,
    at_secs: u64,
}

/// Credentials stay out of logs.
impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proof").field("id_scope", &self.id_scope).finish_non_exhaustive()
    }
}

/// What an enrollment says of who proved to be of it.
struct Found {
    keys: Option<SymmetricKeys>,
    group: Option<EnrollmentGroupRow>,
    /// When a connection under it has to end.
    ends_at_secs: u64,
}

/// What was known of a device when somebody enrolled as it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    generation: String,
    /// Somebody blocked it; one that waits for approval is not.
    is_blocked: bool,
}

impl Enrollee {
    /// What its connection rests on.
    pub fn grounds(&self) -> Vec<Ground> {
        let group = self.group.as_ref().map(|group| Ground::group(&self.app, &group.id));
        std::iter::once(Ground::device(&self.app, &self.device_id)).chain(group).collect()
    }

    /// When its connection has to end, in Unix seconds: the token's end and the grace after it, or the certificate's.
    pub fn ends_at_secs(&self) -> u64 {
        self.proof.ends_at_secs
    }

    /// Whether a connection that was opened as `before` may go on as this: the same keys of the same enrollment, and neither the
    /// group nor the device was closed, nor the device deleted, meanwhile.
    pub fn stands_as(&self, before: &Self) -> bool {
        let group = |enrollee: &Self| enrollee.group.as_ref().map(|group| group.id.clone());
        let is_closed = |enrollee: &Self| {
            enrollee.group.as_ref().is_some_and(|group| !group.enabled)
                || enrollee.known.as_ref().is_some_and(|known| known.is_blocked)
        };
        let generation = |enrollee: &Self| enrollee.known.as_ref().map(|known| known.generation.clone());
        self.keys == before.keys
            && group(self) == group(before)
            && (is_closed(before) || !is_closed(self))
            && (before.known.is_none() || generation(self) == generation(before))
    }
}

impl Provisioning {
    /// For a registry.
    pub fn new(registry: Registry, applications: Applications, last_seen: LastSeen, metrics: &HubMetrics) -> Self {
        Self {
            groups: Arc::new(Groups::new(registry.clone())),
            registry,
            applications,
            last_seen,
            metrics: metrics.clone(),
        }
    }

    /// Finds the enrollment that a client is of.
    pub async fn attest(
        &self,
        id_scope: &str,
        registration_id: &str,
        credential: Credential,
        now_secs: u64,
    ) -> Result<Enrollee, DpsError> {
        if !dps::is_registration_id(registration_id) {
            return Err(DpsError::bad_request("the registration id is malformed"));
        }
        let offered = Offered::read(&credential, id_scope, registration_id, now_secs)?;
        let application = self.registry.application_by_scope(id_scope).await.map_err(store_failed)?;
        let application = application.ok_or_else(unauthorized)?;
        let hub_host = self.applications.host_of(&application);
        let app = application.id;
        let known = self.registry.device_id_of_registration(&app, registration_id).await.map_err(store_failed)?;
        let device_id = known.unwrap_or_else(|| registration_id.to_owned());
        let device = self.registry.device_get(&app, &device_id).await.map_err(store_failed)?;
        let asked = Asked { app: &app, device_id: &device_id, registration_id, device: device.as_ref(), now_secs };
        let Found { keys, group, ends_at_secs } = self.enrollment(asked, &offered).await?;
        let known = device.map(|device| Known {
            is_blocked: !device.enabled && !device.awaiting_approval,
            generation: device.generation_id,
        });
        Ok(Enrollee {
            app: app.into(),
            hub_host,
            registration_id: registration_id.to_owned(),
            device_id,
            keys,
            group,
            known,
            proof: Arc::new(Proof { id_scope: id_scope.to_owned(), credential, ends_at_secs, at_secs: now_secs }),
        })
    }

    /// The enrollee as its proof, judged again, makes it: a group or device may have changed since.
    pub async fn again(&self, enrollee: &Enrollee) -> Result<Enrollee, DpsError> {
        let Proof { id_scope, credential, at_secs, .. } = &*enrollee.proof;
        self.attest(id_scope, &enrollee.registration_id, credential.clone(), *at_secs).await
    }

    /// An individual attestation wins over every group.
    async fn enrollment(&self, asked: Asked<'_>, offered: &Offered<'_>) -> Result<Found, DpsError> {
        if let Some(own) = self.registry.attestation_get(asked.app, asked.device_id).await.map_err(store_failed)? {
            return offered.individual(own.proof).ok_or_else(unauthorized);
        }
        let found = match offered {
            Offered::Token(token) => self.group_of_token(&asked, token).await?,
            Offered::Certificate(certificate) => {
                let found = self.groups.find_signer(asked.app, certificate, asked.now_secs).await;
                let found = found.map_err(store_failed)?;
                found.map(|(group, ends_at_secs)| Found { keys: None, group: Some(group), ends_at_secs })
            }
        };
        let found = found.ok_or_else(unauthorized)?;
        if let (Some(device), Some(group)) = (asked.device, &found.group)
            && !self.may_claim(asked.app, group, device).await?
        {
            tracing::info!(device = device.id, group = group.id, "a credential of one group for a device of another");
            return Err(unauthorized());
        }
        Ok(found)
    }

    async fn group_of_token(&self, asked: &Asked<'_>, token: &SasToken) -> Result<Option<Found>, DpsError> {
        let found = self.groups.find(asked.app, asked.registration_id, token).await.map_err(store_failed)?;
        let Some((group, derived_for)) = found else { return Ok(None) };
        let keys = derived(&group, &derived_for);
        Ok(keys.map(|keys| Found { keys: Some(keys), group: Some(group), ends_at_secs: end_of(token) }))
    }

    /// Whether a credential of the group may register a device that is there. One that registered through a group stays that group's as
    /// long as there is such a group; one that nobody registered is for any group of its kind.
    async fn may_claim(&self, app: &str, group: &EnrollmentGroupRow, device: &DeviceRow) -> Result<bool, DpsError> {
        let owner = device.enrollment_group.as_deref().filter(|owner| device.provisioned && *owner != group.id);
        let is_of_another = match owner {
            Some(owner) => {
                let owner = self.registry.resource_get::<EnrollmentGroupRow>(app, owner).await;
                owner.map_err(store_failed)?.is_some()
            }
            None => false,
        };
        Ok(device.is_edge == group.is_edge && !is_of_another)
    }

    /// Registers the device, or again.
    pub async fn register(&self, enrollee: &Enrollee, body: &[u8]) -> Result<OperationStatus, DpsError> {
        let registered = self.try_register(enrollee, body).await;
        let assigned = matches!(&registered, Ok(state) if state.status == AssignmentStatus::Assigned);
        self.metrics.registration(assigned);
        match &registered {
            Ok(state) => tracing::info!(device = enrollee.device_id, status = ?state.status, "registration"),
            Err(error) => tracing::info!(device = enrollee.device_id, %error, "registration refused"),
        }
        registered?;
        Ok(OperationStatus::assigning(&operation_id(enrollee), &enrollee.registration_id))
    }

    async fn try_register(&self, enrollee: &Enrollee, body: &[u8]) -> Result<RegistrationState, DpsError> {
        let request = RegisterRequest::parse(body, &enrollee.registration_id)?;
        let state = self.standing(enrollee).await?;
        if matches!(state.status, AssignmentStatus::Disabled | AssignmentStatus::Failed) {
            return Ok(state);
        }
        let device = self.device(enrollee, &request).await?;
        if device.enabled {
            self.assign_template(enrollee, &device, request.model_id()).await?;
            self.attach_to_gateway(enrollee, &request).await?;
            self.provision(enrollee, &device).await?;
        }
        self.standing(enrollee).await
    }

    /// Answers a poll.
    pub async fn status(&self, enrollee: &Enrollee, operation: &str) -> Result<OperationStatus, DpsError> {
        if operation != operation_id(enrollee) {
            return Err(DpsError::unknown_operation());
        }
        Ok(OperationStatus::with_state(operation, self.standing(enrollee).await?))
    }

    /// Where the registration stands, from the registry alone.
    pub async fn standing(&self, enrollee: &Enrollee) -> Result<RegistrationState, DpsError> {
        let refused = |status, message: &str| {
            Ok(RegistrationState::refused(&enrollee.registration_id, status, CODE_NOT_ALLOWED, message))
        };
        if enrollee.group.as_ref().is_some_and(|group| !group.enabled) {
            return refused(AssignmentStatus::Disabled, "DEVICE_DISABLED: the enrollment group is disabled");
        }
        let device = self.registry.device_get(&enrollee.app, &enrollee.device_id).await.map_err(store_failed)?;
        let Some(device) = device else {
            return Ok(RegistrationState::new(&enrollee.registration_id, AssignmentStatus::Unassigned));
        };
        match (device.enabled, device.awaiting_approval, device.provisioned) {
            (false, true, _) => refused(AssignmentStatus::Failed, "DEVICE_WAITING: the device waits for approval"),
            (false, false, _) => refused(AssignmentStatus::Disabled, "DEVICE_BLOCKED: the device is blocked"),
            (true, _, false) => Ok(RegistrationState::new(&enrollee.registration_id, AssignmentStatus::Unassigned)),
            (true, _, true) => self.assigned(enrollee, &device),
        }
    }

    fn assigned(&self, enrollee: &Enrollee, device: &DeviceRow) -> Result<RegistrationState, DpsError> {
        let enrollment_group_id = enrollee.group.as_ref().map(|group| group.id.clone());
        let (symmetric_key, x509) = match &enrollee.proof.credential {
            Credential::Certificate(certificate) => (None, Some(x509_result(certificate, enrollment_group_id))),
            Credential::Sas(_) | Credential::None => (Some(SymmetricKeyResult { enrollment_group_id }), None),
        };
        Ok(RegistrationState {
            created_date_time_utc: Some(rfc3339_ms(device.created_ms)),
            last_updated_date_time_utc: Some(rfc3339_ms(device.updated_ms)),
            etag: Some(device.etag.clone()),
            symmetric_key,
            x509,
            ..RegistrationState::assigned(&enrollee.registration_id, &enrollee.hub_host, &device.id)
        })
    }

    /// The device, made if nobody announced it.
    async fn device(&self, enrollee: &Enrollee, request: &RegisterRequest) -> Result<DeviceRow, DpsError> {
        let found = self.registry.device_get(&enrollee.app, &enrollee.device_id).await.map_err(store_failed)?;
        if let Some(device) = found {
            return Ok(device);
        }
        // Only a group's device can be unknown: an individual attestation hangs on its device.
        let group = enrollee.group.as_ref().ok_or_else(unauthorized)?;
        let new = NewDevice {
            id: enrollee.device_id.clone(),
            template: self.template(&enrollee.app, request.model_id()).await?,
            enabled: group.auto_approve,
            awaiting_approval: !group.auto_approve,
            is_edge: group.is_edge,
            created_ms: now_ms(),
            ..NewDevice::default()
        };
        match self.registry.device_create(&enrollee.app, new).await {
            Ok(device) => {
                self.last_seen.made(&enrollee.app, &device.id, !device.enabled);
                Ok(device)
            }
            // Two registrations at once: the other one made it.
            Err(StoreError::Duplicate(..)) => {
                let device =
                    self.registry.device_get(&enrollee.app, &enrollee.device_id).await.map_err(store_failed)?;
                device.ok_or_else(|| DpsError::internal("the device is being deleted"))
            }
            Err(error) => Err(store_failed(error)),
        }
    }

    /// The published template a model id means: its own id, or its capability model's.
    async fn template(&self, app: &str, model: Option<&str>) -> Result<Option<String>, DpsError> {
        let Some(model) = model else { return Ok(None) };
        if let Some(template) = self.registry.resource_get::<TemplateRow>(app, model).await.map_err(store_failed)? {
            return Ok(Some(template.id));
        }
        let template = self.registry.template_by_model(app, model).await.map_err(store_failed)?;
        if template.is_none() {
            tracing::info!(model, "no device template has this model id; the device stays unassigned");
        }
        Ok(template.map(|template| template.id))
    }

    async fn assign_template(
        &self,
        enrollee: &Enrollee,
        device: &DeviceRow,
        model: Option<&str>,
    ) -> Result<(), DpsError> {
        if device.template.is_some() {
            return Ok(());
        }
        let Some(template) = self.template(&enrollee.app, model).await? else { return Ok(()) };
        let assigned = self.registry.device_assign_template(&enrollee.app, &device.id, &template, now_ms()).await;
        assigned.map(drop).map_err(store_failed)
    }

    /// `"iotcGateway": {"iotcGatewayId": "gw-04"}` ties the device to its gateway.
    async fn attach_to_gateway(&self, enrollee: &Enrollee, request: &RegisterRequest) -> Result<(), DpsError> {
        let gateway = request.payload.as_ref().and_then(|payload| payload.pointer("/iotcGateway/iotcGatewayId"));
        let Some(gateway) = gateway.and_then(serde_json::Value::as_str) else { return Ok(()) };
        let found = self.registry.device_get(&enrollee.app, gateway).await.map_err(store_failed)?;
        if !found.is_some_and(|found| found.is_edge) || gateway == enrollee.device_id {
            return Err(DpsError::bad_request(format!("iotcGateway names {gateway}, which is no gateway here")));
        }
        let relationship = RelationshipRow {
            id: enrollee.device_id.clone(),
            source: gateway.to_owned(),
            target: enrollee.device_id.clone(),
        };
        self.registry.relationship_put(&enrollee.app, &relationship, now_ms()).await.map_err(store_failed)
    }

    async fn provision(&self, enrollee: &Enrollee, device: &DeviceRow) -> Result<(), DpsError> {
        let group = enrollee.group.as_ref();
        let is_done = device.provisioned
            && device.primary_key.as_deref() == enrollee.keys.as_ref().map(|keys| keys.primary.as_str())
            && device.secondary_key.as_deref() == enrollee.keys.as_ref().map(|keys| keys.secondary.as_str())
            && device.enrollment_group.as_deref() == group.map(|group| group.id.as_str());
        if is_done {
            return Ok(());
        }
        let registry = &self.registry;
        let marked =
            registry.device_mark_provisioned(&enrollee.app, &device.id, enrollee.keys.as_ref(), group, now_ms()).await;
        match marked {
            Ok(_) => Ok(()),
            // The device was deleted, or its enrollment changed, a moment ago.
            Err(StoreError::Missing(_)) => Err(unauthorized()),
            Err(error) => Err(store_failed(error)),
        }
    }
}

/// Whom a credential is offered for.
struct Asked<'a> {
    app: &'a str,
    device_id: &'a str,
    registration_id: &'a str,
    device: Option<&'a DeviceRow>,
    now_secs: u64,
}

/// A credential that makes sense for the registration it is offered for.
enum Offered<'a> {
    Token(SasToken),
    Certificate(&'a ClientCertificate),
}

impl<'a> Offered<'a> {
    fn read(
        credential: &'a Credential,
        id_scope: &str,
        registration_id: &str,
        now_secs: u64,
    ) -> Result<Self, DpsError> {
        match credential {
            Credential::Sas(text) => {
                let token = SasToken::parse(text).map_err(|error| DpsError::unauthorized(error.to_string()))?;
                let fits = token.covers(&dps::audience(id_scope, registration_id))
                    && token.policy().is_none_or(|policy| policy == dps::POLICY);
                if token.is_expired(now_secs) || !fits { Err(unauthorized()) } else { Ok(Self::Token(token)) }
            }
            Credential::Certificate(certificate) => {
                let is_its = certificate.common_name().is_some_and(|name| name.eq_ignore_ascii_case(registration_id));
                if is_its && certificate.is_valid_at(now_secs) {
                    Ok(Self::Certificate(certificate))
                } else {
                    Err(unauthorized())
                }
            }
            Credential::None => Err(unauthorized()),
        }
    }

    /// What a device's own attestation makes of it.
    fn individual(&self, proof: DeviceProof) -> Option<Found> {
        match (self, proof) {
            (Self::Token(token), DeviceProof::Keys(keys)) => {
                let is_genuine = token.verify(&keys.primary) || token.verify(&keys.secondary);
                is_genuine.then(|| Found { keys: Some(keys), group: None, ends_at_secs: end_of(token) })
            }
            (Self::Certificate(certificate), DeviceProof::Certificates(own)) => {
                let is_its = certificates::thumbprints(&own).iter().any(|own| certificate.is(own));
                is_its.then(|| Found { keys: None, group: None, ends_at_secs: certificate.ends_at_secs() })
            }
            (Self::Token(_), DeviceProof::Certificates(_)) | (Self::Certificate(_), DeviceProof::Keys(_)) => None,
        }
    }
}

fn end_of(token: &SasToken) -> u64 {
    token.expiry_secs().saturating_add(TOKEN_GRACE.as_secs())
}

fn x509_result(certificate: &ClientCertificate, enrollment_group_id: Option<String>) -> X509Result {
    let info = CertificateInfo {
        sha1_thumbprint: certificate.sha1().to_string(),
        sha256_thumbprint: certificate.sha256().to_string(),
    };
    X509Result { enrollment_group_id, certificate_info: Some(info) }
}

/// What polls name. Made from the registration itself, so that a poll after a restart, or on another connection, finds it.
fn operation_id(enrollee: &Enrollee) -> String {
    let text = format!("{}/{}", enrollee.app, enrollee.registration_id.to_ascii_lowercase());
    let digest = Sha256::digest(text.as_bytes());
    digest[..16].iter().fold("4.".to_owned(), |id, byte| id + &format!("{byte:02x}"))
}

fn derived(group: &EnrollmentGroupRow, registration_id: &str) -> Option<SymmetricKeys> {
    Some(SymmetricKeys {
        primary: sas::derive_device_key(&group.keys.primary, registration_id).ok()?,
        secondary: sas::derive_device_key(&group.keys.secondary, registration_id).ok()?,
    })
}

/// One text for every reason, so that nobody learns which ids exist.
fn unauthorized() -> DpsError {
    DpsError::unauthorized("the credentials are not those of an enrollment")
}

fn store_failed(error: StoreError) -> DpsError {
    tracing::error!(error = &error as &dyn std::error::Error, "provisioning could not use the registry");
    DpsError::internal("the registry could not be used")
}
