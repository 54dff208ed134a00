//! Relationships: which device is a child of which gateway.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Registry, StoreError};

/// A child's link to its parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationshipRow {
    /// Its id, unique at the gateway; by habit the child's id.
    pub id: String,
    /// The gateway, upstream.
    pub source: String,
    /// The child, downstream.
    pub target: String,
}

fn from_row(row: &SqliteRow) -> Result<RelationshipRow, sqlx::Error> {
    Ok(RelationshipRow {
        id: row.try_get("gateway_relationship")?,
        source: row.try_get("gateway")?,
        target: row.try_get("id")?,
    })
}

impl Registry {
    /// The link of a device to its parent and those of its direct children, by id.
    pub async fn relationships_of(&self, application: &str, device: &str) -> Result<Vec<RelationshipRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, gateway, gateway_relationship FROM devices WHERE application = $1 AND gateway IS NOT NULL \
             AND (gateway = $2 OR id = $2) ORDER BY gateway_relationship, id",
        )
        .bind(application)
        .bind(device)
        .fetch_all(self.reader())
        .await?;
        Ok(rows.iter().map(from_row).collect::<Result<_, _>>()?)
    }

    /// Makes `source` the parent of `target`, which loses any other parent. `Duplicate` when the gateway uses the id for
    /// another child; `Missing` when there is no such child.
    pub async fn relationship_put(
        &self,
        application: &str,
        relationship: &RelationshipRow,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let done = sqlx::query(
            "UPDATE devices SET gateway = $3, gateway_relationship = $4, updated_ms = $5 WHERE application = $1 AND id = $2",
        )
        .bind(application)
        .bind(&relationship.target)
        .bind(&relationship.source)
        .bind(&relationship.id)
        .bind(now_ms)
        .execute(self.writer())
        .await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Missing) }
    }

    /// Takes the child from its parent. Answers whether it was that parent's.
    pub async fn relationship_delete(
        &self,
        application: &str,
        relationship: &RelationshipRow,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE devices SET gateway = NULL, gateway_relationship = NULL, updated_ms = $4 \
             WHERE application = $1 AND id = $2 AND gateway = $3",
        )
        .bind(application)
        .bind(&relationship.target)
        .bind(&relationship.source)
        .bind(now_ms)
        .execute(self.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
