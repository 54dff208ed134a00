//! Enrollment groups: one pair of keys, or of certificates, for many devices.

use super::engine::{Statement, Value};
use super::list::NamedField;
use super::resource::{Acts, Resource};
use super::signing_certificates::{self, CertificateColumns, SigningCertificates};
use super::{Ground, Registry, StoreError, SymmetricKeys};

/// One enrollment group.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct EnrollmentGroupRow {
    /// Its id.
    pub id: String,
    /// Changes with every write.
    pub etag: String,
    /// Name shown to people.
    pub display_name: String,
    /// Whether devices may register through it.
    pub enabled: bool,
    /// Whether its devices are edge devices.
    pub is_edge: bool,
    /// Whether a device nobody announced may connect at once.
    pub auto_approve: bool,
    /// The group's keys, from which each device's are derived. When it has certificates, they are nobody's.
    #[sqlx(flatten)]
    pub keys: SymmetricKeys,
    /// The certificates its devices' lead to, when they have certificates and no keys.
    #[sqlx(flatten, try_from = "CertificateColumns")]
    pub certificates: Option<SigningCertificates>,
    /// When it was created.
    pub created_ms: i64,
    /// When it last changed.
    pub updated_ms: i64,
}

impl Resource for EnrollmentGroupRow {
    type Field = NamedField;
    const TABLE: &'static str = "enrollment_groups";
    const GROUND: Option<fn(&str, &str) -> Ground> = Some(Ground::group);
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "etag",
        "display_name",
        "enabled",
        "is_edge",
        "auto_approve",
        "primary_key",
        "secondary_key",
        "created_ms",
        "updated_ms",
        signing_certificates::COLUMNS[0],
        signing_certificates::COLUMNS[1],
        signing_certificates::COLUMNS[2],
        signing_certificates::COLUMNS[3],
        signing_certificates::COLUMNS[4],
        signing_certificates::COLUMNS[5],
        signing_certificates::COLUMNS[6],
        signing_certificates::COLUMNS[7],
        signing_certificates::COLUMNS[8],
    ];
    const ACTS: Acts = Acts {
        read: "read an enrollment group",
        list: "list enrollment groups",
        store: "store an enrollment group",
        delete: "delete an enrollment group",
    };

    fn id(&self) -> &str {
        &self.id
    }

    fn values(&self) -> Vec<Value<'_>> {
        let mut values: Vec<Value<'_>> = vec![
            (&self.id).into(),
            (&self.etag).into(),
            (&self.display_name).into(),
            self.enabled.into(),
            self.is_edge.into(),
            self.auto_approve.into(),
            (&self.keys.primary).into(),
            (&self.keys.secondary).into(),
            self.created_ms.into(),
            self.updated_ms.into(),
        ];
        values.extend(signing_certificates::values(self.certificates.as_ref()));
        values
    }

    /// The hub keys of the group's devices were derived from keys that go: they are good no more. Those that come are derived
    /// when they are needed, until the device registers again.
    fn before_store<'q>(&'q self, application: &'q str) -> Option<Statement<'q>> {
        let kept = |column: &str, new: &str| {
            format!(
                "{column} = CASE WHEN (SELECT {column} FROM enrollment_groups WHERE application = $1 AND id = $2) = {new} \
                 THEN {column} ELSE NULL END"
            )
        };
        let sql = format!(
            "UPDATE devices SET {}, {} WHERE application = $1 AND enrollment_group = $2 \
             AND EXISTS (SELECT id FROM enrollment_groups WHERE application = $1 AND id = $2 \
             AND (primary_key <> $3 OR secondary_key <> $4))",
            kept("primary_key", "$3"),
            kept("secondary_key", "$4")
        );
        Some(
            Statement::new("take the keys of a group from its devices", "devices", sql)
                .bind(application)
                .bind(&self.id)
                .bind(&self.keys.primary)
                .bind(&self.keys.secondary),
        )
    }

    /// A group that is made again under this id has other keys.
    fn after_delete<'q>(application: &'q str, id: &'q str) -> Option<Statement<'q>> {
        let sql = "UPDATE devices SET primary_key = NULL, secondary_key = NULL \
             WHERE application = $1 AND enrollment_group = $2";
        Some(Statement::new("take the keys of a group from its devices", "devices", sql).bind(application).bind(id))
    }
}

impl Registry {
    /// Every enrollment group of the application, by id: whoever registers may belong to any. There are at most as many as the
    /// limit on groups allows.
    pub async fn enrollment_groups_list(&self, application: &str) -> Result<Vec<EnrollmentGroupRow>, StoreError> {
        let columns = EnrollmentGroupRow::COLUMNS.join(", ");
        let sql = format!("SELECT {columns} FROM enrollment_groups WHERE application = $1 ORDER BY id");
        let (list, table) = (EnrollmentGroupRow::ACTS.list, EnrollmentGroupRow::TABLE);
        self.engine.fetch_all(Statement::new(list, table, sql).bind(application)).await
    }
}
