//! Queries over telemetry and properties.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A query.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QueryRequest {
    /// `SELECT … FROM dtmi:… WHERE …`.
    pub query: String,
}

/// The rows a query found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QueryResponse {
    /// One flat object a row.
    #[schema(value_type = Vec<Object>)]
    pub results: Vec<Map<String, Value>>,
}
