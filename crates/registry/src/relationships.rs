//! Relationships: which device is a child of which gateway.

use serde_json::{Map, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::{Registry, StoreError, devices, lifecycle};

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
        let mut transaction = self.writer().begin().await?;
        let done = sqlx::query(
            "UPDATE devices SET gateway = $3, gateway_relationship = $4, updated_ms = $5 WHERE application = $1 AND id = $2",
        )
        .bind(application)
        .bind(&relationship.target)
        .bind(&relationship.source)
        .bind(&relationship.id)
        .bind(now_ms)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Missing);
        }
        self.commit_parent(transaction, application, &relationship.target, now_ms).await
    }

    /// Takes the child from its parent. Answers whether it was that parent's.
    pub async fn relationship_delete(
        &self,
        application: &str,
        relationship: &RelationshipRow,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.writer().begin().await?;
        let done = sqlx::query(
            "UPDATE devices SET gateway = NULL, gateway_relationship = NULL, updated_ms = $4 \
             WHERE application = $1 AND id = $2 AND gateway = $3",
        )
        .bind(application)
        .bind(&relationship.target)
        .bind(&relationship.source)
        .bind(now_ms)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        self.commit_parent(transaction, application, &relationship.target, now_ms).await?;
        Ok(true)
    }

    /// Commits a change of the child's parent with the event that tells of it.
    async fn commit_parent(
        &self,
        mut transaction: Transaction<'_, Sqlite>,
        application: &str,
        child: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let child = devices::get(&mut transaction, application, child).await?.ok_or(StoreError::Missing)?;
        let values = Map::from_iter([("gateway".to_owned(), json!(child.gateway))]);
        let event = lifecycle::of_device(application, &child, now_ms, &lifecycle::updated(values));
        self.commit_with(transaction, &[event]).await
    }
}
