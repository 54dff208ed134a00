//! Device templates, kept as the documents that were sent.

use super::engine::{Locks, Statement};
use super::{Registry, StoreError, new_etag};

const TABLE: &str = "device_templates";

const COLUMNS: &str = "id, etag, display_name, capability_model_id, document, created_ms, updated_ms";

/// One device template.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct TemplateRow {
    /// Its `@id`.
    pub id: String,
    /// Changes with every write.
    pub etag: String,
    /// Name to sort and search by (the English one of a language map).
    pub display_name: String,
    /// `capabilityModel.@id`: what a device announces.
    pub capability_model_id: String,
    /// The document without `@id` and `etag`, JSON text.
    pub document: String,
    /// When it was created.
    pub created_ms: i64,
    /// When it last changed.
    pub updated_ms: i64,
}

impl Registry {
    /// One template.
    pub async fn template_get(&self, application: &str, id: &str) -> Result<Option<TemplateRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM device_templates WHERE application = $1 AND id = $2");
        self.engine
            .fetch_optional(Statement::new("read a device template", TABLE, sql).bind(application).bind(id))
            .await
    }

    /// The newest template whose capability model has this id.
    pub async fn template_by_model(&self, application: &str, model: &str) -> Result<Option<TemplateRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM device_templates WHERE application = $1 AND capability_model_id = $2 \
             ORDER BY created_ms DESC, id LIMIT 1"
        );
        let statement = Statement::new("find a device template by its model", TABLE, sql).bind(application).bind(model);
        self.engine.fetch_optional(statement).await
    }

    /// Every template of the application, by id. There are at most as many as the limit on templates allows.
    pub async fn template_list(&self, application: &str) -> Result<Vec<TemplateRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM device_templates WHERE application = $1 ORDER BY id");
        self.engine.fetch_all(Statement::new("list the device templates", TABLE, sql).bind(application)).await
    }

    /// Stores a template under its id, new or replaced, with a new etag. With `template.etag` not empty, only if it is still that.
    pub async fn template_put(&self, application: &str, template: &TemplateRow) -> Result<TemplateRow, StoreError> {
        let sql = format!(
            "INSERT INTO device_templates (application, {COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (application, id) DO UPDATE SET etag = $3, display_name = $4, capability_model_id = $5, document = $6, \
             updated_ms = $8 WHERE $9 = '' OR device_templates.etag = $9 RETURNING {COLUMNS}"
        );
        let statement = Statement::new("store a device template", TABLE, sql)
            .bind(application)
            .bind(&template.id)
            .bind(new_etag())
            .bind(&template.display_name)
            .bind(&template.capability_model_id)
            .bind(&template.document)
            .bind(template.created_ms)
            .bind(template.updated_ms)
            .bind(&template.etag);
        let act = statement.act();
        self.engine.change_returning(&Locks::none(), statement).await?.ok_or(StoreError::EtagMismatch(act))
    }

    /// Deletes a template. Answers whether it was there.
    pub async fn template_delete(&self, application: &str, id: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM device_templates WHERE application = $1 AND id = $2";
        let statement = Statement::new("delete a device template", TABLE, sql).bind(application).bind(id);
        Ok(self.engine.execute(statement).await? == 1)
    }
}
