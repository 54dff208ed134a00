//! Who may speak: the proofs clients send, and the judgement of them.
//!
//! | Module | Knows |
//! | --- | --- |
//! | [`sas`] | the token itself |
//! | [`judge`] | whether a claim is to be believed |
pub mod judge;
pub mod sas;
