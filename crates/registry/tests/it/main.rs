//! The registry against real databases: the same tests on a SQLite file and on a PostgreSQL server.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests say what they need by failing")]

mod access;
mod at_once;
mod devices;
mod failures;
mod hub;
mod messages;
mod outbox;
mod people;
mod postgres;
mod rig;
mod url;
mod wire;
