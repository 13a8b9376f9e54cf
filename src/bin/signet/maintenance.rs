//! `signet token rotate-root-key, compact, zeroize`: what keeps a token in order,
//! and what ends it.

use crate::Failure;
use crate::context::{Context, TokenName};
use crate::pins::{self, PinFile};
use signet_pkcs11::error::Error;
use signet_pkcs11::log::Escaped;
use signet_pkcs11::types::{SlotId, UserType};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;

/// `signet token rotate-root-key`. Where an older version has set the security officer's
/// PIN, it is asked for as well.
pub fn rotate_root_key(
    context: &Context,
    label: &str,
    so_pin_file: Option<&PathBuf>,
    pin: &PinFile,
) -> Result<(), Failure> {
    let (slot, info) = context.token(label)?;
    if !info.user.initialized {
        return Err(format!("the user PIN of \"{label}\" has not been set").into());
    }
    let module = &context.module;
    let session = module.open_session(slot, true)?;
    let pin = pins::user(pin, label)?;
    context.log_in_to(slot, session, UserType::User, &pin)?;
    let objects = match module.rotate_root_key(session) {
        Err(outdated @ Error::CredentialOutdated(_)) => {
            let so_pin = pins::security_officer(so_pin_file, label)
                .map_err(|missing| format!("{outdated}. {missing}"))?;
            module.logout(session)?;
            context.log_in_to(slot, session, UserType::SecurityOfficer, &so_pin)?;
            module.logout(session)?;
            context.log_in_to(slot, session, UserType::User, &pin)?;
            module.rotate_root_key(session)?
        }
        other => other?,
    };
    let objects = match objects {
        1 => "1 object".into(),
        _ => format!("{objects} objects"),
    };
    say!("The root key of \"{}\" is a new one; {objects} sealed under it.", Escaped(label));
    Ok(())
}

/// `signet token compact`.
pub fn compact(context: &Context, label: &str) -> Result<(), Failure> {
    let (slot, _) = context.token(label)?;
    let done = context.module.compact_token(slot)?;
    say!("Token \"{}\": {} bytes before, {} now.", Escaped(label), done.before, done.after);
    if done.is_partial {
        say!("Another program was reading; more is given back when this is done again.");
    }
    Ok(())
}

/// What is destroyed, and how sure the caller is.
#[derive(clap::Args)]
pub struct Zeroize {
    #[command(flatten)]
    which: TokenName,
    /// Read the security officer's PIN from this file (its first line)
    #[arg(long, value_name = "FILE", conflicts_with = "force")]
    so_pin_file: Option<PathBuf>,
    /// Without the security officer's PIN
    #[arg(long)]
    force: bool,
    /// Without asking for the label at the terminal
    #[arg(long)]
    yes: bool,
}

/// `signet token zeroize`.
pub fn zeroize(context: &Context, how: &Zeroize) -> Result<(), Failure> {
    let (slot, name) = named(context, how)?;
    if !how.yes {
        confirm(slot, &name)?;
    }
    let so_pin = match how.force {
        true => None,
        false => Some(pins::security_officer(how.so_pin_file.as_ref(), &name)?),
    };
    match context.module.zeroize_token(slot, so_pin.as_ref()) {
        Err(Error::PinIncorrect) => {
            return Err(context.wrong_pin(slot, UserType::SecurityOfficer));
        }
        other => other?,
    }
    say!("Token \"{}\" in slot {slot} is destroyed.", Escaped(&name));
    Ok(())
}

/// The token's slot, and what it is called: its label, or the slot's name if it cannot be
/// read.
fn named(context: &Context, how: &Zeroize) -> Result<(SlotId, String), Failure> {
    let slot = how.which.slot(context)?;
    let info = match context.module.token_info(slot).map(|info| info.token) {
        Ok(Some(info)) => info,
        Ok(None) | Err(Error::SlotIdInvalid(_)) => return Err(Error::TokenNotPresent(slot).into()),
        Err(_) if how.force => return Ok((slot, format!("slot-{slot}"))),
        Err(unreadable) => {
            return Err(format!(
                "{unreadable}. Where no PIN can be checked, --force destroys the token without one"
            )
            .into());
        }
    };
    if info.security_officer.is_locked() && !how.force {
        return Err(format!(
            "the security officer PIN of \"{}\" is locked; --force destroys the token without it",
            Escaped(&info.label)
        )
        .into());
    }
    Ok((slot, info.label))
}

/// Goes on when the name is typed at the terminal.
fn confirm(slot: SlotId, name: &str) -> Result<(), Failure> {
    let Ok(terminal) = File::options().read(true).write(true).open("/dev/tty") else {
        return Err("there is no terminal to confirm at: give --yes".into());
    };
    let shown = Escaped(name);
    writeln!(
        &terminal,
        "This destroys the token \"{shown}\" in slot {slot} and every key in it, for good."
    )?;
    write!(&terminal, "Type {shown} to go on: ")?;
    let mut typed = String::new();
    BufReader::new(&terminal).read_line(&mut typed)?;
    if typed.trim_end_matches(['\n', '\r']) == shown.to_string() {
        Ok(())
    } else {
        Err("not confirmed; nothing was destroyed".into())
    }
}
