//! `signet`: the administration program.

fn main() {}
