//! Who may speak: the proofs clients send, and the judgement of them.
//!
//! | Module | Knows |
//! | --- | --- |
//! | [`sas`] | the token itself |
//! | [`certificate`] | a certificate with its chain |
//! | [`judge`] | whether a claim is to be believed |
pub mod certificate;
pub mod judge;
pub mod sas;
