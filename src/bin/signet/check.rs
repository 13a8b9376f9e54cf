//! `signet token check` and `quarantine`: is everything in the token what the token
//! wrote, and where to put what is not.

use crate::Failure;
use crate::context::{Context, Login};
use crate::pins::PinFile;
use signet_pkcs11::clock::Timestamp;
use signet_pkcs11::log::Escaped;
use signet_pkcs11::token::{Finding, Quarantined, Report};
use std::fmt;
use std::path::PathBuf;

/// Who asks.
#[derive(clap::Args)]
pub struct Who {
    #[command(flatten)]
    pin: PinFile,
    /// Log in as the security officer instead of the user
    #[arg(long)]
    so: bool,
    /// Read the security officer's PIN from this file (its first line)
    #[arg(long, value_name = "FILE", requires = "so")]
    so_pin_file: Option<PathBuf>,
}

impl Who {
    pub fn log_in<'c>(
        &self,
        context: &'c Context,
        label: &str,
        read_write: bool,
    ) -> Result<Login<'c>, Failure> {
        if self.so {
            context.log_in_security_officer(label, self.so_pin_file.as_ref())
        } else {
            context.log_in(label, read_write, &self.pin)
        }
    }
}

/// What a check has found is wrong; any other failure kept it from finding out.
#[derive(Debug)]
pub struct Wrong(pub String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

/// The whole report; [`Wrong`] if anything is. `quarantine`: sets aside what is
/// damaged, and fails only if something is wrong then.
pub fn check(context: &Context, label: &str, who: &Who, quarantine: bool) -> Result<(), Failure> {
    let login = who.log_in(context, label, quarantine)?;
    let (module, session) = (login.module, login.session);
    if !quarantine {
        let report = module.check_token(session)?;
        print(&report)?;
        return conclude(&report, label);
    }
    let before = module.quarantined(session)?.len();
    let report = module.quarantine(session)?;
    print(&report)?;
    if !report.is_clean() {
        let more = module.quarantined(session)?.len().saturating_sub(before);
        say!("Set aside: {more}. The rest is listed anew:");
        let report = module.check_token(session)?;
        print(&report)?;
        return conclude(&report, label);
    }
    conclude(&report, label)
}

/// Lists what was set aside, or forgets one record of it.
pub fn quarantine(
    context: &Context,
    label: &str,
    who: &Who,
    discard: Option<&str>,
) -> Result<(), Failure> {
    let login = who.log_in(context, label, discard.is_some())?;
    let (module, session) = (login.module, login.session);
    if let Some(id) = discard {
        if !module.discard_quarantined(session, id)? {
            return Err(format!("nothing is in quarantine under \"{}\"", Escaped(id)).into());
        }
        say!("Discarded {}.", Escaped(id));
        return Ok(());
    }
    let kept = module.quarantined(session)?;
    if kept.is_empty() {
        say!("Nothing is in quarantine.");
    }
    for Quarantined { id, damage, when, size } in kept {
        say!("{}: {size} bytes, since {}; {}", Escaped(&id), Timestamp(when), Escaped(&damage));
    }
    Ok(())
}

fn print(report: &Report) -> Result<(), Failure> {
    for (path, size) in &report.files {
        say!("{}: {size} bytes", path.display());
    }
    say!("Keys and data objects: {}", report.objects);
    if report.unbound > 0 {
        say!(
            "Made without a login, so that nobody can tell whether they were changed: {}",
            report.unbound
        );
    }
    for flaw in &report.flaws {
        say!("The file: {}", Escaped(flaw));
    }
    report.findings.iter().try_for_each(print_finding)
}

fn print_finding(finding: &Finding) -> Result<(), Failure> {
    let Finding { id, label, damage, .. } = finding;
    match label {
        Some(label) => say!("{} \"{}\": {damage}", Escaped(id), Escaped(label)),
        None => say!("{}: {damage}", Escaped(id)),
    }
    Ok(())
}

fn conclude(report: &Report, label: &str) -> Result<(), Failure> {
    if report.is_clean() {
        say!("Nothing is wrong with \"{}\".", Escaped(label));
        return Ok(());
    }
    let count = report.findings.len() + report.flaws.len();
    let things = if count == 1 { "1 thing is" } else { &format!("{count} things are") };
    Err(Wrong(format!("{things} wrong with \"{}\"", Escaped(label))).into())
}
