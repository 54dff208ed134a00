//! Enrollment groups.

use api::enrollment::{EnrollmentGroup, EnrollmentGroupType, GroupAttestation};
use events::clock::now_ms;
use registry::{CountMax, EnrollmentGroupRow, NamedField, Precondition, SymmetricKeys, new_symmetric_keys};

use super::devices::credentials::{check_keys, keys_to_api};
use super::page::Cursor;
use super::resource::{self, Edited, Managed, named_field};
use super::{Access, App, AppError, certificates};
use crate::limits::{DISPLAY_NAME_CHARS_MAX, ENROLLMENT_GROUPS_MAX};

fn check_group_id(id: &str) -> Result<(), AppError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !id.is_empty() && id.len() <= 255 && id.chars().all(allowed) {
        return Ok(());
    }
    Err(AppError::BadRequest(format!("'{id}' is not a valid id of an enrollment group: letters, digits and dashes.")))
}

/// Enrollment groups, as people manage them.
pub struct EnrollmentGroups;

impl Managed for EnrollmentGroups {
    type Row = EnrollmentGroupRow;
    type Api = EnrollmentGroup;
    const WHAT: &'static str = "enrollment group";
    const COUNT_MAX: CountMax = CountMax(ENROLLMENT_GROUPS_MAX);

    fn field(name: &str) -> Option<NamedField> {
        named_field(name)
    }

    fn to_api(access: &Access, row: EnrollmentGroupRow) -> Result<EnrollmentGroup, AppError> {
        Ok(EnrollmentGroup {
            id: Some(row.id),
            display_name: row.display_name,
            enabled: row.enabled,
            kind: if row.is_edge { EnrollmentGroupType::IotEdge } else { EnrollmentGroupType::Iot },
            attestation: match &row.certificates {
                Some(certificates) => certificates::group_to_api(certificates)?,
                None => GroupAttestation::SymmetricKey { symmetric_key: Some(keys_to_api(row.keys)) },
            },
            etag: Some(row.etag),
            id_scope: Some(access.id_scope().to_owned()),
        })
    }

    fn cursor(row: &EnrollmentGroupRow) -> Cursor {
        Cursor { name: row.display_name.clone(), id: row.id.clone() }
    }

    fn etag(row: &EnrollmentGroupRow) -> Option<&str> {
        Some(&row.etag)
    }
}

impl Edited for EnrollmentGroups {
    /// Keys that are not given are kept, or generated for a new group; certificates that are not given are kept.
    async fn put(
        app: &App,
        access: &Access,
        id: &str,
        wanted: EnrollmentGroup,
        precondition: Precondition,
    ) -> Result<EnrollmentGroup, AppError> {
        check_group_id(id)?;
        let names = 1..=DISPLAY_NAME_CHARS_MAX;
        if !names.contains(&wanted.display_name.chars().count()) {
            let message = format!("displayName has 1 to {DISPLAY_NAME_CHARS_MAX} characters");
            return Err(AppError::fault("/displayName", message));
        }
        let known = app.find_row::<EnrollmentGroups>(access, id).await?;
        let is_edge = wanted.kind == EnrollmentGroupType::IotEdge;
        if known.as_ref().is_some_and(|known| known.is_edge != is_edge) {
            return Err(AppError::fault("/type", "the type of an enrollment group is fixed when it is made"));
        }
        let certificates = certificates::of_group(&wanted, known.as_ref())?;
        let keys = keys(&wanted, known.as_ref())?;
        let now_ms = now_ms();
        let row = EnrollmentGroupRow {
            id: id.to_owned(),
            etag: String::new(),
            display_name: wanted.display_name.clone(),
            enabled: wanted.enabled,
            is_edge,
            auto_approve: known.as_ref().is_none_or(|known| known.auto_approve),
            keys,
            certificates,
            created_ms: known.map_or(now_ms, |known| known.created_ms),
            updated_ms: now_ms,
        };
        app.require_certificates_are_its_own(access, &row).await?;
        let precondition = resource::precondition(&precondition, wanted.etag.as_deref());
        EnrollmentGroups::to_api(access, app.resource_store::<EnrollmentGroups>(access, &row, &precondition).await?)
    }
}

/// The keys a group shall have. When it changes between keys and certificates, what it had before opens nothing afterwards.
fn keys(wanted: &EnrollmentGroup, known: Option<&EnrollmentGroupRow>) -> Result<SymmetricKeys, AppError> {
    let is_of_kind = |known: &&EnrollmentGroupRow| {
        known.certificates.is_some() == matches!(wanted.attestation, GroupAttestation::X509 { .. })
    };
    match &wanted.attestation {
        GroupAttestation::SymmetricKey { symmetric_key: Some(keys) } => check_keys("/attestation/symmetricKey", keys),
        _ => Ok(known.filter(is_of_kind).map_or_else(new_symmetric_keys, |known| known.keys.clone())),
    }
}
