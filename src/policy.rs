//! Who may do what: one place asks, one place answers.
//!
//! Under everything lie the standard's own rules ([`authorize`]): they decide for
//! the public, the security officer and the application's own session objects.
//! What named principals may do with keys is decided by policies in IAM's language:
//!
//! 1. A [`Document`] is read and checked once: a key's policy, a user's or role's,
//!    or who may take a role.
//! 2. A [`Caller`] is who asks, a [`Context`] what the request brings along,
//!    [`KeyFacts`] what is known of the key, its [`Grant`]s included.
//! 3. A [`Request`] of these gives a [`Decision`]: yes or no, which statement
//!    decided, and for how long that holds, so that it need not be asked again.
//!
//! Everything here is a pure function of its arguments and comes to an end on any
//! document: no files, no clock, no recursion, work that grows with the lengths.

#![forbid(unsafe_code)]

mod action;
mod arn;
mod caller;
mod condition;
mod context;
mod date;
mod decision;
mod document;
mod evaluation;
mod grant;
mod json;
mod network;
mod pattern;
mod principal;
mod standard;
mod state;
mod statement;
mod variable;

#[cfg(test)]
mod tests;

pub use action::{Action, Concern};
pub use caller::{Caller, CallerKind, NamedPolicy};
pub use context::Context;
pub use decision::{Decision, PolicyName, Reason, StatementName, Until};
pub use document::{Document, DocumentKind, default_key_policy, owner_key_policy};
pub use evaluation::{KeyFacts, Request, RoleFacts};
pub use grant::{Grant, GrantOperation, GrantTerms, is_grant_id};
pub use principal::PrincipalName;
pub use standard::{LoginNumber, Principal, Resource, authorize};
pub use state::require_state;
