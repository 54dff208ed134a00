//! Signing in to the console: one-time codes become sessions.
//!
//! ```text
//! code (32 random bytes, in a link) ──once──► session (32 random bytes, in a cookie) ──each request──► actor
//! ```
//!
//! Both are stored as hashes. A session slides: it is extended when half of its idle time has passed, up to a fixed end.
//! Failed attempts are counted by address, so that guesses are not written down without end. A code that works is taken however
//! many others failed: behind one proxy everybody has one address, and the codes, of 256 random bits, cannot be guessed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use api::access::RoleAssignment;
use api::endpoint::Guard;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use events::clock::now_ms;
use registry::{ApplicationRow, Precondition, Registry, SecretHash, StoreError, UserRow, new_id, random_bytes};

use super::resource::Managed;
use super::roles::{self, BuiltInRole};
use super::tokens::read_roles;
use super::users::Users;
use super::{Access, Actor, ActorKind, App, AppError, authorize};
use crate::limits::{
    SIGN_IN_ADDRESSES_MAX, SIGN_IN_FAILURE_WINDOW, SIGN_IN_FAILURES_MAX, SIGN_IN_INVITATION_LIFE, WEB_SESSION_IDLE,
    WEB_SESSION_LIFE,
};

/// Makes (or finds) a user with a role and a one-time code for them, without a caller: for the command line, which works on
/// the data folder itself. Answers the code.
pub async fn invite_offline(
    registry: &Registry,
    application: &ApplicationRow,
    email: &str,
    role: &BuiltInRole,
    now_ms: i64,
) -> Result<String, StoreError> {
    let email = email.to_lowercase();
    let roles = vec![RoleAssignment { role: role.id.to_owned(), organization: None }];
    let known = registry.user_by_email(&application.id, &email).await?;
    let user = UserRow {
        id: known.as_ref().map_or_else(new_id, |known| known.id.clone()),
        email,
        roles: serde_json::to_string(&roles).expect("role assignments are plain JSON"),
        created_ms: known.map_or(now_ms, |known| known.created_ms),
        updated_ms: now_ms,
    };
    registry.resource_put(&application.id, &user, &Precondition::None, Users::COUNT_MAX).await?;
    let code = new_secret();
    let expires_ms = now_ms.saturating_add(millis(SIGN_IN_INVITATION_LIFE));
    registry.sign_in_code_create(&application.id, &SecretHash::of(&code), &user.id, now_ms, expires_ms).await?;
    Ok(code)
}

/// A secret nobody can guess, in characters a link and a cookie can carry.
fn new_secret() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The new end of a session that is used now, if it is to be moved: not at every request, and not beyond its life.
fn extension(created_ms: i64, expires_ms: i64, now_ms: i64) -> Option<i64> {
    let idle_ms = millis(WEB_SESSION_IDLE);
    if expires_ms.saturating_sub(now_ms) >= idle_ms / 2 {
        return None;
    }
    let end_ms = created_ms.saturating_add(millis(WEB_SESSION_LIFE));
    Some(now_ms.saturating_add(idle_ms).min(end_ms)).filter(|extended_ms| *extended_ms > expires_ms)
}

/// Counts failed sign-ins by address. `None` stands for every address that is not known.
#[derive(Debug, Default)]
pub(super) struct SignInLimiter {
    failures: Mutex<Failures>,
}

/// How many of each address, and since when.
type Failures = HashMap<Option<IpAddr>, (u32, Instant)>;

/// What is answered to a failed attempt.
#[derive(Debug, PartialEq, Eq)]
enum Failed {
    /// That it failed.
    Plainly,
    /// That there were too many, of which one does not read in the log again.
    TooOften,
}

impl SignInLimiter {
    /// Counts an attempt that failed at `now`.
    fn failed(&self, address: Option<IpAddr>, now: Instant) -> Failed {
        let mut failures = self.lock();
        failures.retain(|_, (_, since)| now.duration_since(*since) < SIGN_IN_FAILURE_WINDOW);
        let addresses = failures.len();
        match failures.entry(address) {
            Entry::Occupied(known) if known.get().0 >= SIGN_IN_FAILURES_MAX => return Failed::TooOften,
            Entry::Occupied(mut known) => known.get_mut().0 += 1,
            Entry::Vacant(_) if addresses >= SIGN_IN_ADDRESSES_MAX => return Failed::TooOften,
            Entry::Vacant(unknown) => drop(unknown.insert((1, now))),
        }
        Failed::Plainly
    }

    fn lock(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().expect("nothing panics while it holds this lock")
    }
}

impl App {
    /// Turns a one-time code into a session of an application. Answers the cookie's value and the proof that goes with it.
    pub async fn sign_in(
        &self,
        application: &Arc<ApplicationRow>,
        code: &str,
        address: Option<IpAddr>,
    ) -> Result<(String, Access), AppError> {
        let now_ms = now_ms();
        // A code that works is taken whatever others behind the same address have guessed.
        let user = self.registry().sign_in_code_take(&application.id, &SecretHash::of(code), now_ms).await?;
        let Some(user) = user else { return Err(self.sign_in_failed(address)) };
        let session = new_secret();
        let expires_ms = now_ms.saturating_add(millis(WEB_SESSION_IDLE));
        let hash = SecretHash::of(&session);
        self.registry().web_session_create(&application.id, &hash, &user, now_ms, expires_ms).await?;
        let actor = self.user_actor(application, &user).await?.ok_or(AppError::Unauthenticated)?;
        tracing::info!(actor = actor.id(), "signed in");
        Ok((session, authorize(&actor, Guard::SignedIn, self.resource_of(application))?))
    }

    fn sign_in_failed(&self, address: Option<IpAddr>) -> AppError {
        match self.sign_in_limiter().failed(address, Instant::now()) {
            Failed::TooOften => AppError::TooManyRequests,
            Failed::Plainly => {
                if transport::log::may_tell_of_stranger() {
                    tracing::warn!(?address, "sign-in with an unknown, used or expired code");
                }
                AppError::Unauthenticated
            }
        }
    }

    /// The actor a session cookie proves to an application, if it does. Extends the session when it is time.
    pub async fn authenticate_session(
        &self,
        application: &ApplicationRow,
        session: &str,
    ) -> Result<Option<Actor>, AppError> {
        let hash = SecretHash::of(session);
        let now_ms = now_ms();
        let Some((user, created_ms, expires_ms)) =
            self.registry().web_session_user(&application.id, &hash, now_ms).await?
        else {
            return Ok(None);
        };
        if let Some(extended_ms) = extension(created_ms, expires_ms, now_ms) {
            self.registry().web_session_extend(&application.id, &hash, extended_ms).await?;
        }
        self.user_actor(application, &user).await
    }

    /// The actor of a session as it stands, with when it ends; looking does not extend it.
    pub(super) async fn session_standing(
        &self,
        application: &ApplicationRow,
        session: &str,
    ) -> Result<(Option<Actor>, Option<i64>), AppError> {
        let hash = SecretHash::of(session);
        match self.registry().web_session_user(&application.id, &hash, now_ms()).await? {
            Some((user, _, expires_ms)) => Ok((self.user_actor(application, &user).await?, Some(expires_ms))),
            None => Ok((None, None)),
        }
    }

    async fn user_actor(&self, application: &ApplicationRow, id: &str) -> Result<Option<Actor>, AppError> {
        let user: Option<UserRow> = self.registry().resource_get(&application.id, id).await?;
        let Some(user) = user else { return Ok(None) };
        let kind = ActorKind::User { id: user.id, email: user.email };
        Ok(Some(Actor { kind, application: application.id.clone(), roles: read_roles(&user.roles)? }))
    }

    /// Ends a session.
    pub async fn sign_out(&self, access: &Access, session: &str) -> Result<(), AppError> {
        Ok(self.registry().web_session_delete(access.application(), &SecretHash::of(session)).await?)
    }

    /// Who is signed in, where, and what they may do.
    pub fn session_of(&self, access: &Access) -> api::session::Session {
        let actor = access.actor();
        let email = match &actor.kind {
            ActorKind::User { email, .. } => Some(email.clone()),
            ActorKind::ApiToken { .. } => None,
        };
        let roles = actor
            .roles
            .iter()
            .filter_map(|assignment| roles::by_id(&assignment.role))
            .map(|role| api::session::SessionRole { role: role.id.to_owned(), display_name: role.name.to_owned() });
        api::session::Session {
            user: api::session::SessionUser { id: actor.id().to_owned(), email, roles: roles.collect() },
            application: api::session::SessionApplication {
                id: access.application().to_owned(),
                name: access.application_name().to_owned(),
            },
            permissions: access.permissions(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn failures_count_by_address_and_are_forgotten() {
        let limiter = SignInLimiter::default();
        let address = Some("192.0.2.1".parse().unwrap());
        let start = Instant::now();
        for _ in 0..SIGN_IN_FAILURES_MAX {
            assert_eq!(limiter.failed(address, start), Failed::Plainly);
        }
        assert_eq!(limiter.failed(address, start), Failed::TooOften);
        assert_eq!(limiter.failed(None, start), Failed::Plainly, "another address");
        assert_eq!(limiter.failed(address, start + SIGN_IN_FAILURE_WINDOW), Failed::Plainly);
    }

    #[test]
    fn as_many_addresses_are_remembered() {
        let (limiter, start) = (SignInLimiter::default(), Instant::now());
        let address = |n: usize| Some(IpAddr::from(u32::try_from(n).unwrap().to_be_bytes()));
        limiter.lock().extend((1..SIGN_IN_ADDRESSES_MAX).map(|n| (address(n), (1, start))));
        assert_eq!(limiter.failed(address(0), start), Failed::Plainly, "just at the limit");
        assert_eq!(limiter.failed(address(SIGN_IN_ADDRESSES_MAX), start), Failed::TooOften, "one more");
        assert_eq!(limiter.failed(address(1), start), Failed::Plainly, "one that is known");
        assert_eq!(limiter.lock().len(), SIGN_IN_ADDRESSES_MAX);
        assert_eq!(limiter.failed(address(SIGN_IN_ADDRESSES_MAX), start + SIGN_IN_FAILURE_WINDOW), Failed::Plainly);
    }

    #[test]
    fn a_session_slides_up_to_its_end() {
        let (idle, life) = (millis(WEB_SESSION_IDLE), millis(WEB_SESSION_LIFE));
        let cases = [
            (idle, 0, None),
            (idle, idle / 2, None),
            (idle, idle / 2 + 1, Some(idle / 2 + 1 + idle)),
            (life, life - 1, None),
            (life - 5, life - 9, Some(life)),
        ];
        for (expires_ms, now_ms, expected) in cases {
            assert_eq!(extension(0, expires_ms, now_ms), expected, "{expires_ms} {now_ms}");
        }
    }
}
