//! Tokens of other software, read so that they can be taken over.
//!
//! Nothing is written to them. What is read may have been edited by anybody who
//! could write the files: every length is checked before memory is taken for it.

#![forbid(unsafe_code)]

pub mod softhsm2;
