//! `signet token`: make and look at tokens. `maintenance.rs` has the rest.

use crate::Failure;
use crate::check;
use crate::context::{Context, TokenName, Tokens};
use crate::maintenance;
use crate::pins::{self, PinFile};
use signet_pkcs11::clock::Timestamp;
use signet_pkcs11::log::Escaped;
use signet_pkcs11::secret::Pin;
use signet_pkcs11::store::Progress;
use signet_pkcs11::token::{Info, PinState};
use signet_pkcs11::types::{LABEL_LEN, SlotId, Ulong};
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Make a token in the next free slot and set its PINs
    Init {
        /// The token's label, at most 32 bytes
        #[arg(long)]
        label: String,
        /// Read the security officer's PIN from this file (its first line)
        #[arg(long, value_name = "FILE")]
        so_pin_file: Option<PathBuf>,
        #[command(flatten)]
        pin: PinFile,
    },
    /// Give back the disk space of what was removed; programs go on using the token
    Compact {
        /// The token's label
        label: String,
    },
    /// List the tokens
    List,
    /// Compare everything in a token with what was written
    #[command(after_help = "Exit status: 0 nothing is wrong; 1 something is; 2 the command line \
                            was wrong; 4 the check could not be made.")]
    Check {
        /// The token's label
        label: String,
        #[command(flatten)]
        who: check::Who,
        /// Set aside what is damaged, so that the rest is whole
        #[arg(long)]
        quarantine: bool,
    },
    /// Take a token that the rollback counter refuses for the newest, as it is
    Accept(TokenName),
    /// List the damaged records that were set aside, or discard one
    Quarantine {
        /// The token's label
        label: String,
        #[command(flatten)]
        who: check::Who,
        /// Forget this one for ever
        #[arg(long, value_name = "ID")]
        discard: Option<String>,
    },
    /// Replace the root key and seal everything under the new one; programs stay logged in
    RotateRootKey {
        /// The token's label
        label: String,
        /// Read the security officer's PIN from this file (its first line); needed if an
        /// older version has set it
        #[arg(long, value_name = "FILE")]
        so_pin_file: Option<PathBuf>,
        #[command(flatten)]
        pin: PinFile,
    },
    /// Show a token's state
    Show {
        /// The token's label
        label: String,
    },
    /// Print the public key that backups for this token are sealed to; make it if there
    /// is none yet
    TransportKey {
        /// The token's label
        label: String,
        #[command(flatten)]
        pin: PinFile,
    },
    /// Destroy a token and all keys in it for good, also while programs use it
    Zeroize(maintenance::Zeroize),
}

pub fn run(command: Command) -> Result<(), Failure> {
    let context = Context::open()?;
    match command {
        Command::Init { label, so_pin_file, pin } => {
            init(&context, &label, so_pin_file.as_ref(), &pin)
        }
        Command::Compact { label } => maintenance::compact(&context, &label),
        Command::List => list(&context),
        Command::Accept(name) => accept(&name),
        Command::RotateRootKey { label, so_pin_file, pin } => {
            maintenance::rotate_root_key(&context, &label, so_pin_file.as_ref(), &pin)
        }
        Command::Check { label, who, quarantine } => {
            check::check(&context, &label, &who, quarantine)
        }
        Command::Quarantine { label, who, discard } => {
            check::quarantine(&context, &label, &who, discard.as_deref())
        }
        Command::TransportKey { label, pin } => {
            let login = context.log_in(&label, false, &pin)?;
            let key = login.module.transport_key(login.session)?;
            say!("{key}");
            // Beside the answer, which a script takes as it is.
            eprintln!("fingerprint: {}", key.fingerprint());
            Ok(())
        }
        Command::Show { label } => {
            let (slot, info) = context.token(&label)?;
            show(slot, &info)
        }
        Command::Zeroize(zeroize) => maintenance::zeroize(&context, &zeroize),
    }
}

fn init(
    context: &Context,
    label: &str,
    so_pin_file: Option<&PathBuf>,
    pin: &PinFile,
) -> Result<(), Failure> {
    check_new_label(context, label)?;
    let so_pin = pins::new_security_officer(so_pin_file, label)?;
    let pin = pins::new_user(pin, label)?;
    check_pin_lengths([Some(&so_pin), Some(&pin)])?;
    let (slot, ()) = context
        .module
        .in_empty_slot(|slot| context.module.create_token(slot, label, &so_pin, Some(&pin)))?;
    say!("Token \"{}\" made in slot {slot}.", Escaped(label));
    Ok(())
}

/// Refuses a label that a new token cannot have, or that one has already.
pub fn check_new_label(context: &Context, label: &str) -> Result<(), Failure> {
    if label.is_empty() || label.len() > LABEL_LEN || label.ends_with(' ') {
        let needed = format!("a label has 1 to {LABEL_LEN} bytes and does not end with a blank");
        return Err(needed.into());
    }
    let there = context.tokens()?.readable;
    match there.into_iter().find(|(_, info)| info.label == label) {
        Some((slot, _)) => {
            let label = Escaped(label);
            Err(format!("slot {slot} holds a token labelled \"{label}\" already").into())
        }
        None => Ok(()),
    }
}

/// Refuses PINs that are none, before anything is made with them.
pub fn check_pin_lengths(pins: [Option<&Pin>; 2]) -> Result<(), Failure> {
    if pins.into_iter().flatten().all(Pin::has_valid_length) {
        return Ok(());
    }
    Err(format!("a PIN has {} to {} bytes", Pin::MIN_LEN, Pin::MAX_LEN).into())
}

fn accept(name: &TokenName) -> Result<(), Failure> {
    let (context, counter) = Context::unguarded()?;
    let slot = name.slot(&context)?;
    let label = context.label(slot)?;
    let (now, before) = context.module.accept_token(slot, &counter)?;
    let label = Escaped(&label);
    let Progress { commits, attempts } = now;
    match before {
        Some(before) if !now.reaches(before) => say!(
            "\"{label}\" is accepted as it is, with {commits} commits and {attempts} login attempts; \
             the counter knew of {} and {}.",
            before.commits,
            before.attempts
        ),
        _ => say!("\"{label}\" is not behind the counter: nothing had to be accepted."),
    }
    Ok(())
}

fn list(context: &Context) -> Result<(), Failure> {
    let Tokens { readable, unreadable } = context.tokens()?;
    if readable.is_empty() {
        let directory = context.directory.display();
        if unreadable > 0 {
            return Err(format!("no token in {directory} can be read").into());
        }
        say!("No tokens in {directory}. `signet token init --label NAME` makes one.");
        return Ok(());
    }
    say!("{:>4}  {:<32}  {:<16}  USER PIN", "SLOT", "LABEL", "SERIAL");
    for (slot, info) in readable {
        let pin = pin_state(info.user);
        let number: Ulong = slot.0;
        let label = Escaped(&info.label).to_string();
        say!("{number:>4}  {label:<32}  {:<16}  {pin}", info.serial);
    }
    Ok(())
}

fn show(slot: SlotId, info: &Info) -> Result<(), Failure> {
    say!("label:                 {}", Escaped(&info.label));
    say!("slot:                  {slot}");
    say!("serial:                {}", info.serial);
    say!("writable:              {}", if info.writable { "yes" } else { "no" });
    say!("account, region:       {}, {}", info.home.account, info.home.region);
    say!("root key made:         {}", Timestamp(info.root_key_made));
    for (name, pin) in [("user", info.user), ("security officer", info.security_officer)] {
        say!("{:<22} {}", format!("{name} PIN:"), pin_state(pin));
        if let Some(cost) = pin.cost {
            // As RFC 9106 §3.1 names them.
            let (m, t, p) = (cost.memory_kib, cost.iterations, cost.lanes);
            say!("{:<22} Argon2id, m={m} KiB, t={t}, p={p}", "  guarded by:");
        }
    }
    Ok(())
}

fn pin_state(pin: PinState) -> String {
    let left = pin.attempts_left();
    match pin {
        PinState { initialized: false, .. } => "not set".into(),
        _ if pin.is_locked() => "locked".into(),
        PinState { failures: 0, .. } => "set".into(),
        _ => format!("set; {left} of {} attempts left", pin.limit),
    }
}
