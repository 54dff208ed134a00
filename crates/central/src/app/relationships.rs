//! Relationships: which device is behind which gateway.

use api::device::DeviceRelationship;
use events::clock::now_ms;
use registry::{RelationshipRow, StoreError};
use serde_json::{Map, Value};

use super::tokens::check_id;
use super::{Access, App, AppError, resource};

fn to_api(row: RelationshipRow) -> DeviceRelationship {
    DeviceRelationship { id: Some(row.id), source: Some(row.source), target: Some(row.target) }
}

fn id_taken(error: StoreError, id: &str) -> AppError {
    match error {
        StoreError::Duplicate(..) => AppError::Conflict(format!("The gateway uses the id '{id}' for another device.")),
        error => error.into(),
    }
}

impl App {
    /// A device's link to its gateway and those to its children.
    pub async fn relationships(&self, access: &Access, device: &str) -> Result<Vec<DeviceRelationship>, AppError> {
        self.device_row(access, device).await?;
        let rows = self.registry().relationships_of(access.application(), device).await?;
        Ok(rows.into_iter().map(to_api).collect())
    }

    async fn relationship_row(&self, access: &Access, device: &str, id: &str) -> Result<RelationshipRow, AppError> {
        self.device_row(access, device).await?;
        let rows = self.registry().relationships_of(access.application(), device).await?;
        rows.into_iter().find(|row| row.id == id).ok_or_else(|| AppError::not_found("relationship", id))
    }

    /// One relationship, seen from either end.
    pub async fn relationship(&self, access: &Access, device: &str, id: &str) -> Result<DeviceRelationship, AppError> {
        Ok(to_api(self.relationship_row(access, device, id).await?))
    }

    /// Puts a device behind a gateway. A device has one gateway: it must be taken from another one first.
    pub async fn relationship_put(
        &self,
        access: &Access,
        device: &str,
        id: &str,
        wanted: &DeviceRelationship,
    ) -> Result<DeviceRelationship, AppError> {
        let row = self.relationship_wanted(access, device, id, wanted, None).await?;
        let stored = self.registry().relationship_put(access.application(), &row, now_ms()).await;
        stored.map_err(|error| id_taken(error, id))?;
        Ok(to_api(row))
    }

    /// Checks what a relationship shall become. A child that leaves the gateway with this very change counts as free.
    async fn relationship_wanted(
        &self,
        access: &Access,
        device: &str,
        id: &str,
        wanted: &DeviceRelationship,
        leaves: Option<&RelationshipRow>,
    ) -> Result<RelationshipRow, AppError> {
        check_id("relationship", id)?;
        let source = wanted.source.as_deref().ok_or_else(|| AppError::fault("/source", "source is required"))?;
        let target = wanted.target.as_deref().ok_or_else(|| AppError::fault("/target", "target is required"))?;
        if source != device && target != device {
            return Err(AppError::fault("/source", "the device of the path must be source or target"));
        }
        if source == target {
            return Err(AppError::fault("/target", "a device cannot be behind itself"));
        }
        self.device_row(access, device).await?;
        let application = access.application();
        let Some(gateway) = self.registry().device_get(application, source).await? else {
            return Err(AppError::fault("/source", format!("there is no device '{source}'")));
        };
        let Some(child) = self.registry().device_get(application, target).await? else {
            return Err(AppError::fault("/target", format!("there is no device '{target}'")));
        };
        let is_leaving = leaves.is_some_and(|known| known.target == target);
        if !is_leaving && child.gateway.as_deref().is_some_and(|parent| parent != source) {
            let message = format!("the device '{target}' is behind another gateway");
            return Err(AppError::Conflict(message));
        }
        if child.is_edge || gateway.gateway.is_some() {
            return Err(AppError::fault("/target", "an edge device cannot be behind another device"));
        }
        Ok(RelationshipRow { id: id.to_owned(), source: source.to_owned(), target: target.to_owned() })
    }

    /// Changes a relationship: its child, or the gateway. The connection of who leaves one ends.
    pub async fn relationship_patch(
        &self,
        access: &Access,
        device: &str,
        id: &str,
        patch: &Map<String, Value>,
    ) -> Result<DeviceRelationship, AppError> {
        let known = self.relationship_row(access, device, id).await?;
        let merged = resource::merged("relationship", &to_api(known.clone()), patch)?;
        let row = self.relationship_wanted(access, device, id, &merged, Some(&known)).await?;
        if row == known {
            return Ok(to_api(row));
        }
        let moved = self.registry().relationship_move(access.application(), &known, &row, now_ms()).await;
        moved.map_err(|error| id_taken(error, id))?;
        Ok(to_api(row))
    }

    /// Takes a device from its gateway; the connection it may have through it ends.
    pub async fn relationship_delete(&self, access: &Access, device: &str, id: &str) -> Result<(), AppError> {
        let row = self.relationship_row(access, device, id).await?;
        self.registry().relationship_delete(access.application(), &row, now_ms()).await?;
        Ok(())
    }
}
