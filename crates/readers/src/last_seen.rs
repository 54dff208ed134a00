//! When identities were last heard of, kept across restarts.
//!
//! Sessions note it in memory, with one atomic write a message ([`events::last_seen`]); this reader stores it, and after a start
//! gives back what was stored and what the log has since.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`reader`] | the reader: newest time an identity, committed with its position |

pub mod reader;

pub use reader::LastSeenReader;
