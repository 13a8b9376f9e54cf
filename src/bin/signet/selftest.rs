//! `signet selftest`: every known answer, one line each.

use crate::Failure;

pub fn run() -> Result<(), Failure> {
    let outcomes = signet_pkcs11::selftest::run();
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    for outcome in &outcomes {
        say!("{:<18} {}", outcome.name, if outcome.passed { "ok" } else { "FAILED" });
    }
    if failed > 0 {
        return Err(format!("{failed} of {} self-tests failed", outcomes.len()).into());
    }
    say!("All {} self-tests passed.", outcomes.len());
    Ok(())
}
