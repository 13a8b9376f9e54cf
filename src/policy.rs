//! Who may do what: one place asks, one place answers.

#![forbid(unsafe_code)]

mod action;
mod standard;

pub use action::{Action, Concern};
pub use standard::{Principal, Resource, authorize};
