//! What a new data folder starts with.

use registry::{ApplicationRow, EnrollmentGroupRow, Registry, StoreError, new_id, new_symmetric_keys, random_bytes};

use super::AppError;

/// Ids of the groups every application starts with, and whether their devices are edge devices.
const DEFAULT_GROUPS: [(&str, bool); 2] = [("SAS-IoT-Devices", false), ("SAS-IoT-Edge-Devices", true)];

/// The first application of a registry; made, with its default enrollment groups, when there is none.
pub async fn first_application(registry: &Registry, name: &str, now_ms: i64) -> Result<ApplicationRow, AppError> {
    if let Some(application) = registry.application_list().await?.into_iter().next() {
        return Ok(application);
    }
    Ok(new_application(registry, name, now_ms).await?)
}

/// Makes an application with its default enrollment groups; `Duplicate` when the name is taken, in any case.
pub async fn new_application(registry: &Registry, name: &str, now_ms: i64) -> Result<ApplicationRow, StoreError> {
    let application =
        ApplicationRow { id: new_id(), name: name.to_owned(), id_scope: new_id_scope(), created_ms: now_ms };
    registry.application_create(&application, &DEFAULT_GROUPS.map(|group| default_group(group, now_ms))).await?;
    Ok(application)
}

fn default_group((id, is_edge): (&str, bool), now_ms: i64) -> EnrollmentGroupRow {
    EnrollmentGroupRow {
        id: id.to_owned(),
        etag: String::new(),
        display_name: id.to_owned(),
        enabled: true,
        is_edge,
        auto_approve: true,
        keys: new_symmetric_keys(),
        certificates: None,
        created_ms: now_ms,
        updated_ms: now_ms,
    }
}

/// A scope in the form clients know: `0ne` and eight hexadecimal digits.
fn new_id_scope() -> String {
    format!("0ne{:08X}", u32::from_be_bytes(random_bytes()))
}
