//! Device templates, kept as the documents that were sent.

use super::engine::{Statement, Value};
use super::list::Field;
use super::resource::{Acts, Resource};
use super::{Ground, Registry, StoreError};

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

impl Resource for TemplateRow {
    type Field = TemplateField;
    const TABLE: &'static str = "device_templates";
    const GROUND: Option<fn(&str, &str) -> Ground> = None;
    const COLUMNS: &'static [&'static str] =
        &["id", "etag", "display_name", "capability_model_id", "document", "created_ms", "updated_ms"];
    const ACTS: Acts = Acts {
        read: "read a device template",
        list: "list the device templates",
        store: "store a device template",
        delete: "delete a device template",
    };

    fn id(&self) -> &str {
        &self.id
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            (&self.id).into(),
            (&self.etag).into(),
            (&self.display_name).into(),
            (&self.capability_model_id).into(),
            (&self.document).into(),
            self.created_ms.into(),
            self.updated_ms.into(),
        ]
    }
}

/// What a filter of templates may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateField {
    /// Its `@id`.
    Id,
    /// Name shown to people.
    DisplayName,
    /// What a device announces.
    CapabilityModelId,
}

impl Field for TemplateField {
    fn column(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::DisplayName => "display_name",
            Self::CapabilityModelId => "capability_model_id",
        }
    }
}

impl Registry {
    /// The newest template whose capability model has this id.
    pub async fn template_by_model(&self, application: &str, model: &str) -> Result<Option<TemplateRow>, StoreError> {
        let columns = TemplateRow::COLUMNS.join(", ");
        let sql = format!(
            "SELECT {columns} FROM device_templates WHERE application = $1 AND capability_model_id = $2 \
             ORDER BY created_ms DESC, id LIMIT 1"
        );
        let act = "find a device template by its model";
        self.engine.fetch_optional(Statement::new(act, TemplateRow::TABLE, sql).bind(application).bind(model)).await
    }

    /// Id and display name of every template, without the documents.
    pub async fn template_names(&self, application: &str) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT id, display_name FROM device_templates WHERE application = $1";
        let act = "list the names of device templates";
        self.engine.fetch_all(Statement::new(act, TemplateRow::TABLE, sql).bind(application)).await
    }
}
