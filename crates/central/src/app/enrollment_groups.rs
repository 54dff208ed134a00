//! Enrollment groups.

use api::enrollment::{EnrollmentGroup, EnrollmentGroupType, GroupAttestation};
use events::clock::now_ms;
use registry::{EnrollmentGroupRow, new_symmetric_keys};
use serde_json::{Map, Value};

use super::devices::credentials::{check_keys, keys_to_api};
use super::{Access, App, AppError};
use crate::limits::{DISPLAY_NAME_CHARS_MAX, ENROLLMENT_GROUPS_MAX};

fn check_group_id(id: &str) -> Result<(), AppError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !id.is_empty() && id.len() <= 255 && id.chars().all(allowed) {
        return Ok(());
    }
    Err(AppError::BadRequest(format!("'{id}' is not a valid id of an enrollment group: letters, digits and dashes.")))
}

fn to_api(access: &Access, row: EnrollmentGroupRow) -> EnrollmentGroup {
    EnrollmentGroup {
        id: Some(row.id),
        display_name: row.display_name,
        enabled: row.enabled,
        kind: if row.is_edge { EnrollmentGroupType::IotEdge } else { EnrollmentGroupType::Iot },
        attestation: GroupAttestation::SymmetricKey { symmetric_key: Some(keys_to_api(row.keys)) },
        etag: Some(row.etag),
        id_scope: Some(access.id_scope().to_owned()),
    }
}

impl App {
    /// Every enrollment group.
    pub async fn enrollment_groups(&self, access: &Access) -> Result<Vec<EnrollmentGroup>, AppError> {
        let rows = self.registry().enrollment_groups_list(access.application()).await?;
        Ok(rows.into_iter().map(|row| to_api(access, row)).collect())
    }

    /// One enrollment group.
    pub async fn enrollment_group(&self, access: &Access, id: &str) -> Result<EnrollmentGroup, AppError> {
        let row = self.registry().enrollment_group_get(access.application(), id).await?;
        row.map(|row| to_api(access, row)).ok_or_else(|| AppError::not_found("enrollment group", id))
    }

    /// Makes or replaces an enrollment group. Keys that are not given are kept, or generated for a new group.
    pub async fn enrollment_group_put(
        &self,
        access: &Access,
        id: &str,
        wanted: &EnrollmentGroup,
    ) -> Result<EnrollmentGroup, AppError> {
        check_group_id(id)?;
        let names = 1..=DISPLAY_NAME_CHARS_MAX;
        if !names.contains(&wanted.display_name.chars().count()) {
            let message = format!("displayName has 1 to {DISPLAY_NAME_CHARS_MAX} characters");
            return Err(AppError::fault("/displayName", message));
        }
        let application = access.application();
        let known = self.registry().enrollment_group_get(application, id).await?;
        if known.is_none() {
            if wanted.etag.is_some() {
                return Err(AppError::EtagMismatch);
            }
            if self.registry().enrollment_groups_list(application).await?.len() >= ENROLLMENT_GROUPS_MAX {
                let message =
                    format!("The application has {ENROLLMENT_GROUPS_MAX} enrollment groups, which is the limit.");
                return Err(AppError::Conflict(message));
            }
        }
        let is_edge = wanted.kind == EnrollmentGroupType::IotEdge;
        if known.as_ref().is_some_and(|known| known.is_edge != is_edge) {
            return Err(AppError::fault("/type", "the type of an enrollment group is fixed when it is made"));
        }
        let GroupAttestation::SymmetricKey { symmetric_key } = &wanted.attestation;
        let keys = match (symmetric_key, &known) {
            (Some(keys), _) => check_keys("/attestation/symmetricKey", keys)?,
            (None, Some(known)) => known.keys.clone(),
            (None, None) => new_symmetric_keys(),
        };
        let now_ms = now_ms();
        let row = EnrollmentGroupRow {
            id: id.to_owned(),
            etag: wanted.etag.clone().unwrap_or_default(),
            display_name: wanted.display_name.clone(),
            enabled: wanted.enabled,
            is_edge,
            auto_approve: known.as_ref().is_none_or(|known| known.auto_approve),
            keys,
            created_ms: known.map_or(now_ms, |known| known.created_ms),
            updated_ms: now_ms,
        };
        let stored = self.registry().enrollment_group_put(application, &row).await?;
        tracing::info!(actor = access.actor().id(), group = id, "enrollment group stored");
        Ok(to_api(access, stored))
    }

    /// Changes an enrollment group.
    pub async fn enrollment_group_patch(
        &self,
        access: &Access,
        id: &str,
        patch: &Map<String, Value>,
    ) -> Result<EnrollmentGroup, AppError> {
        let known = EnrollmentGroup { etag: None, ..self.enrollment_group(access, id).await? };
        let mut document = serde_json::to_value(known).expect("an enrollment group is plain JSON");
        model::twin::merge_patch(&mut document, &Value::Object(patch.clone()));
        let merged = serde_json::from_value(document)
            .map_err(|error| AppError::unprocessable(format!("The group is not valid: {error}."), Vec::new()))?;
        self.enrollment_group_put(access, id, &merged).await
    }

    /// Deletes an enrollment group; its devices stay as they are.
    pub async fn enrollment_group_delete(&self, access: &Access, id: &str) -> Result<(), AppError> {
        if !self.registry().enrollment_group_delete(access.application(), id).await? {
            return Err(AppError::not_found("enrollment group", id));
        }
        tracing::info!(actor = access.actor().id(), group = id, "enrollment group deleted");
        Ok(())
    }
}
