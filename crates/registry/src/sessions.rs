//! What the sessions of devices and modules are subscribed to, over a restart too: a column of the identity.

use model::identity::Identity;

use super::engine::{Locks, Statement};
use super::{Registry, StoreError};

/// What is kept of one session.
#[derive(Debug, Clone, Copy)]
pub struct KeptSession<'a> {
    /// The application.
    pub application: &'a str,
    /// Whose session.
    pub identity: &'a Identity,
    /// What it is subscribed to, in the hub's own bits; 0 forgets the session.
    pub subscriptions: u8,
}

impl KeptSession<'_> {
    fn statement(&self) -> Statement<'_> {
        let Self { application, identity, subscriptions } = *self;
        let (table, sql) = match identity.module_id() {
            None => ("devices", "UPDATE devices SET subscriptions = $1 WHERE application = $2 AND id = $3"),
            Some(_) => {
                ("modules", "UPDATE modules SET subscriptions = $1 WHERE application = $2 AND device = $3 AND id = $4")
            }
        };
        let statement = Statement::new("keep a session", table, sql)
            .bind(i64::from(subscriptions))
            .bind(application)
            .bind(identity.device_id());
        match identity.module_id() {
            Some(module) => statement.bind(module),
            None => statement,
        }
    }
}

impl Registry {
    /// Keeps sessions, in order, in one commit. An identity that is gone has none, which is no error.
    pub async fn sessions_keep(&self, sessions: &[KeptSession<'_>]) -> Result<(), StoreError> {
        let statements: Vec<_> = sessions.iter().map(KeptSession::statement).collect();
        let devices = sessions.iter().map(|session| (session.application, session.identity.device_id()));
        self.engine.write(&Locks::devices(devices), &statements).await.map(drop)
    }
}
