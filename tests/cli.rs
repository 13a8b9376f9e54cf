//! `signet` as the person at the terminal meets it, a chapter for each group of
//! commands.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/paths.rs"]
mod paths;

mod cli {
    mod audit;
    mod backup;
    mod check;
    mod keys;
    mod life;
    mod maintenance;
    mod migrate;
    mod pins;
    mod place;
    mod policy;
    mod role;
    mod rollback;
    mod stored;
    mod tokens;
    mod user;
}
