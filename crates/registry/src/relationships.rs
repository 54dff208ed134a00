//! Relationships: which device is a child of which gateway.

use serde_json::{Map, json};

use super::engine::{Locks, Statement, retried};
use super::{Registry, StoreError, devices, lifecycle};

const TABLE: &str = "devices";

/// A child's link to its parent.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RelationshipRow {
    /// Its id, unique at the gateway; by habit the child's id.
    #[sqlx(rename = "gateway_relationship")]
    pub id: String,
    /// The gateway, upstream.
    #[sqlx(rename = "gateway")]
    pub source: String,
    /// The child, downstream.
    #[sqlx(rename = "id")]
    pub target: String,
}

/// Makes the source the parent of the target, if both are there.
fn join<'q>(application: &'q str, relationship: &'q RelationshipRow, now_ms: i64) -> Statement<'q> {
    let sql = "UPDATE devices SET gateway = $3, gateway_relationship = $4, updated_ms = $5 \
         WHERE application = $1 AND id = $2 \
         AND EXISTS (SELECT id FROM devices WHERE application = $1 AND id = $3)";
    Statement::new("store a relationship", TABLE, sql)
        .bind(application)
        .bind(&relationship.target)
        .bind(&relationship.source)
        .bind(&relationship.id)
        .bind(now_ms)
}

/// Takes the target from the source, if it is its parent.
fn leave<'q>(application: &'q str, relationship: &'q RelationshipRow, now_ms: i64) -> Statement<'q> {
    let sql = "UPDATE devices SET gateway = NULL, gateway_relationship = NULL, updated_ms = $4 \
         WHERE application = $1 AND id = $2 AND gateway = $3";
    Statement::new("delete a relationship", TABLE, sql)
        .bind(application)
        .bind(&relationship.target)
        .bind(&relationship.source)
        .bind(now_ms)
}

impl Registry {
    /// The link of a device to its parent and those of its direct children, by id.
    pub async fn relationships_of(&self, application: &str, device: &str) -> Result<Vec<RelationshipRow>, StoreError> {
        let sql = "SELECT id, gateway, gateway_relationship FROM devices WHERE application = $1 AND gateway IS NOT NULL \
             AND (gateway = $2 OR id = $2) ORDER BY gateway_relationship, id";
        self.engine.fetch_all(Statement::new("list relationships", TABLE, sql).bind(application).bind(device)).await
    }

    /// Makes `source` the parent of `target`, which loses any other parent. `Duplicate` when the gateway uses the id for
    /// another child; `Missing` when one of the two is not there.
    pub async fn relationship_put(
        &self,
        application: &str,
        relationship: &RelationshipRow,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let statement = join(application, relationship, now_ms);
        let act = statement.act();
        match self.change_parent(application, relationship, statement, now_ms).await? {
            true => Ok(()),
            false => Err(StoreError::Missing(act)),
        }
    }

    /// Gives a relationship another child, or its child another parent, in one step. `Duplicate` when the gateway uses the id for
    /// another child; `Missing` when one of the devices is not there.
    pub async fn relationship_move(
        &self,
        application: &str,
        before: &RelationshipRow,
        after: &RelationshipRow,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let (leave, join) = (leave(application, before, now_ms), join(application, after, now_ms));
        let act = join.act();
        let devices = [&before.source, &before.target, &after.source, &after.target];
        let locks = Locks::devices(devices.map(|device| (application, device.as_str())));
        retried!(self.engine, {
            let mut transaction = self.engine.begin(&locks, act).await?;
            transaction.execute(&leave).await?;
            if transaction.execute(&join).await? == 0 {
                transaction.roll_back().await?;
                return Err(StoreError::Missing(act));
            }
            let mut children = vec![before.target.as_str(), after.target.as_str()];
            children.dedup();
            let mut events = Vec::with_capacity(children.len());
            for child in children {
                let child =
                    devices::get(&mut transaction, application, child).await?.ok_or(StoreError::Missing(act))?;
                let values = Map::from_iter([("gateway".to_owned(), json!(child.gateway))]);
                events.push(lifecycle::of_device(application, &child, now_ms, &lifecycle::updated(values)));
            }
            self.commit_with(transaction, &events).await
        })
    }

    /// Takes the child from its parent. Answers whether it was that parent's.
    pub async fn relationship_delete(
        &self,
        application: &str,
        relationship: &RelationshipRow,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        self.change_parent(application, relationship, leave(application, relationship, now_ms), now_ms).await
    }

    /// Changes the child's parent, and commits it with the event that tells of it. Answers whether it changed anything.
    async fn change_parent(
        &self,
        application: &str,
        relationship: &RelationshipRow,
        statement: Statement<'_>,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let act = statement.act();
        let child = relationship.target.as_str();
        // The gateway is held too: one that is being deleted gets no new children.
        let locks = Locks::devices([(application, child), (application, relationship.source.as_str())]);
        retried!(self.engine, {
            let mut transaction = self.engine.begin(&locks, act).await?;
            if transaction.execute(&statement).await? == 0 {
                transaction.roll_back().await?;
                return Ok(false);
            }
            let child = devices::get(&mut transaction, application, child).await?.ok_or(StoreError::Missing(act))?;
            let values = Map::from_iter([("gateway".to_owned(), json!(child.gateway))]);
            let event = lifecycle::of_device(application, &child, now_ms, &lifecycle::updated(values));
            self.commit_with(transaction, &[event]).await?;
            Ok(true)
        })
    }
}
