//! Lists of devices: which, in which order, from where on.
//!
//! A filter is a tree over columns that exist; it becomes SQL text with parameters. Only column names from
//! [`DeviceField::column`] and parameter numbers enter the text, never a caller's words.

use std::fmt::Write as _;

use super::{COLUMNS, DeviceRow, TABLE};
use crate::engine::Statement;
use crate::{Registry, StoreError};

/// A column a filter may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceField {
    /// The device's id.
    Id,
    /// Name shown to people.
    DisplayName,
    /// Whether it may connect.
    Enabled,
    /// Whether it has been through provisioning.
    Provisioned,
    /// Whether Central generates its data.
    Simulated,
    /// The id of its template.
    Template,
    /// The organization it belongs to.
    Organization,
    /// Whether it is an edge device.
    Edge,
}

impl DeviceField {
    fn column(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::DisplayName => "display_name",
            Self::Enabled => "enabled",
            Self::Provisioned => "provisioned",
            Self::Simulated => "simulated",
            Self::Template => "template",
            Self::Organization => "organization",
            Self::Edge => "is_edge",
        }
    }
}

/// How a column is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the operators")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn sql(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// Which devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceFilter {
    /// A text column compared with a text.
    Text(DeviceField, Comparison, String),
    /// A yes-or-no column equal to a value.
    Flag(DeviceField, bool),
    /// A column without a value.
    Absent(DeviceField),
    /// A text column that contains a text, whatever the case of ASCII letters.
    Contains(DeviceField, String),
    /// Both.
    And(Box<DeviceFilter>, Box<DeviceFilter>),
    /// Either.
    Or(Box<DeviceFilter>, Box<DeviceFilter>),
}

/// One page of a list of devices.
#[derive(Debug, Clone, Default)]
pub struct DevicePage {
    /// Which devices; all when absent.
    pub filter: Option<DeviceFilter>,
    /// Ordered by display name (then id) instead of by id.
    pub by_display_name: bool,
    /// Order turned round.
    pub descending: bool,
    /// The sort keys (display name, id) of the last row of the page before.
    pub after: Option<(String, String)>,
    /// Rows wanted.
    pub limit: u32,
}

/// SQL text under construction with the values of its parameters.
struct Condition {
    sql: String,
    texts: Vec<String>,
}

impl Condition {
    /// Adds a parameter and answers its placeholder. `$1` is the application.
    fn bind(&mut self, text: &str) -> String {
        self.texts.push(text.to_owned());
        format!("${}", self.texts.len() + 1)
    }

    fn add(&mut self, filter: &DeviceFilter) {
        match filter {
            DeviceFilter::Text(field, comparison, text) => {
                let parameter = self.bind(text);
                let column = field.column();
                // An absent value differs from every text, as callers expect; SQL's NULL would drop the row.
                if *comparison == Comparison::NotEqual {
                    let _ = write!(self.sql, "({column} IS NULL OR {column} <> {parameter})");
                } else {
                    let _ = write!(self.sql, "{column} {} {parameter}", comparison.sql());
                }
            }
            DeviceFilter::Flag(field, value) => {
                let value = if *value { "TRUE" } else { "FALSE" };
                let _ = write!(self.sql, "{} = {value}", field.column());
            }
            DeviceFilter::Absent(field) => {
                let _ = write!(self.sql, "{} IS NULL", field.column());
            }
            DeviceFilter::Contains(field, text) => {
                let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
                let parameter = self.bind(&format!("%{}%", escaped.to_ascii_lowercase()));
                let _ = write!(self.sql, "lower({}) LIKE {parameter} ESCAPE '\\'", field.column());
            }
            DeviceFilter::And(left, right) => self.join(left, "AND", right),
            DeviceFilter::Or(left, right) => self.join(left, "OR", right),
        }
    }

    fn join(&mut self, left: &DeviceFilter, word: &str, right: &DeviceFilter) {
        self.sql.push('(');
        self.add(left);
        let _ = write!(self.sql, " {word} ");
        self.add(right);
        self.sql.push(')');
    }

    fn start_after(&mut self, page: &DevicePage) {
        let Some((name, id)) = &page.after else { return };
        let sign = if page.descending { "<" } else { ">" };
        let id = self.bind(id);
        if page.by_display_name {
            let name = self.bind(name);
            let _ = write!(self.sql, " AND (display_name {sign} {name} OR (display_name = {name} AND id {sign} {id}))");
        } else {
            let _ = write!(self.sql, " AND id {sign} {id}");
        }
    }
}

fn condition(filter: Option<&DeviceFilter>) -> Condition {
    let mut condition = Condition { sql: String::from("application = $1"), texts: Vec::new() };
    if let Some(filter) = filter {
        condition.sql.push_str(" AND ");
        condition.add(filter);
    }
    condition
}

fn statement<'q>(act: &'static str, sql: String, application: &'q str, texts: &'q [String]) -> Statement<'q> {
    texts.iter().fold(Statement::new(act, TABLE, sql).bind(application), |statement, text| statement.bind(text))
}

impl Registry {
    /// One page of the devices that pass the filter.
    pub async fn device_list(&self, application: &str, page: &DevicePage) -> Result<Vec<DeviceRow>, StoreError> {
        let mut condition = condition(page.filter.as_ref());
        condition.start_after(page);
        let way = if page.descending { "DESC" } else { "ASC" };
        let order = if page.by_display_name { format!("display_name {way}, id {way}") } else { format!("id {way}") };
        let sql =
            format!("SELECT {COLUMNS} FROM devices WHERE {} ORDER BY {order} LIMIT {}", condition.sql, page.limit);
        self.engine.fetch_all(statement("list devices", sql, application, &condition.texts)).await
    }

    /// How many devices pass the filter.
    pub async fn device_count(&self, application: &str, filter: Option<&DeviceFilter>) -> Result<u64, StoreError> {
        let condition = condition(filter);
        let sql = format!("SELECT COUNT(*) FROM devices WHERE {}", condition.sql);
        let row = self.engine.fetch_optional(statement("count devices", sql, application, &condition.texts)).await?;
        Ok(row.map_or(0, |(count,): (i64,)| count.unsigned_abs()))
    }
}
