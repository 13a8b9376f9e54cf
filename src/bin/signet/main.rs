//! `signet`: administers tokens and keys, and makes and checks MACs, from the
//! command line.
//!
//! The exit status says how it ended: the end of `signet --help` lists what each means.

#![forbid(unsafe_code)]

/// Prints a line, or leaves the function with the reason why it could not.
macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write;
        writeln!(std::io::stdout(), $($line)*)
            .map_err(|error| format!("standard output: {error}"))?;
    }};
}

mod alias;
mod audit;
mod backup;
mod check;
mod context;
mod grant;
mod identity;
mod json;
mod key;
mod key_life;
mod mac;
mod maintenance;
mod migrate;
mod pins;
mod policy;
mod role;
mod selftest;
mod token;
mod uri;
mod user;

use clap::{Parser, Subcommand};
use signet_pkcs11::error::Error;
use signet_pkcs11::store::PageGuard;
use std::process::ExitCode;

/// An HSM for HMAC keys.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "\
Tokens are kept in the directory that SIGNET_TOKENDIR or the configuration names \
(SIGNET_CONF, else SOFTHSM2_CONF, else ~/.config/signet/signet.conf, else /etc/signet/signet.conf).

PINs are read from the file that --pin-file or --so-pin-file names, else from the environment \
(SIGNET_PIN, SIGNET_SO_PIN), else asked for at the terminal. The same holds for the passphrase of a \
backup (--passphrase-file, SIGNET_BACKUP_PASSPHRASE), for the PIN of the token that a backup is \
sealed to when it is restored (--recipient-pin-file, SIGNET_RECIPIENT_PIN) and for the PIN that the \
owner sets a named user (--user-pin-file, SIGNET_USER_PIN).

Exit status: 0 done; 1 refused or failed, the reason on standard error; 2 the command line was wrong; \
3 `migrate`: done but for what standard error names; 4 `token check`, `audit verify`: they could not \
look; 5 `policy check`: the answer is no."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make tokens, look at them, keep them in order, destroy them
    #[command(subcommand)]
    Token(token::Command),
    /// Make, import and list keys, and change what they are
    #[command(subcommand)]
    Key(key::Command),
    /// Other names of keys
    #[command(subcommand)]
    Alias(alias::Command),
    /// What single principals may do with a key besides its policy
    #[command(subcommand)]
    Grant(grant::Command),
    /// Named users beside the token's owner, their policies and access keys
    #[command(subcommand)]
    User(user::Command),
    /// Roles that users take
    #[command(subcommand)]
    Role(role::Command),
    /// Ask what policies allow, and why
    #[command(subcommand)]
    Policy(policy::Command),
    /// Make and check MACs
    #[command(subcommand)]
    Mac(mac::Command),
    /// Make, restore and verify backups
    #[command(subcommand)]
    Backup(backup::Command),
    /// Look at what was done with a token, and verify that nobody has changed the record of it
    #[command(subcommand)]
    Audit(audit::Command),
    /// Take over the tokens of other software
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Compute the known answers of every hash and MAC and say which are right
    Selftest,
}

/// The command line is wrong in a way that takes more than its grammar to see.
#[derive(Debug)]
struct Misused(String);

impl std::fmt::Display for Misused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misused {}

/// Why a command failed, for the person at the terminal.
type Failure = Box<dyn std::error::Error>;

/// The exit status of a wrong command line; the grammar's own complaints have it too.
const MISUSED: u8 = 2;

/// The exit status of what was done, but not for everything that it was asked for.
const INCOMPLETE: u8 = 3;

/// The exit status of a check that could not be made, which has found nothing.
const UNCHECKED: u8 = 4;

/// The exit status of a question that was answered with no.
const DENIED: u8 = 5;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let _pages = PageGuard::new();
    let checks = matches!(
        arguments.command,
        Command::Token(token::Command::Check { .. })
            | Command::Audit(audit::Command::Verify { .. })
    );
    let done = match arguments.command {
        Command::Token(command) => token::run(command),
        Command::Key(command) => key::run(command),
        Command::Alias(command) => alias::run(command),
        Command::Grant(command) => grant::run(command),
        Command::User(command) => user::run(command),
        Command::Role(command) => role::run(command),
        Command::Policy(command) => policy::run(command),
        Command::Mac(command) => mac::run(command),
        Command::Backup(command) => backup::run(command),
        Command::Audit(command) => audit::run(command),
        Command::Migrate(command) => migrate::run(command),
        Command::Selftest => selftest::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The answer has been given.
        Err(failure) if failure.is::<policy::Denied>() => DENIED.into(),
        Err(failure) => {
            eprintln!("signet: {failure}");
            if matches!(failure.downcast_ref(), Some(Error::AccessDenied(_))) {
                eprintln!(
                    "signet: `signet policy check` tells the token's owner what decides that"
                );
            }
            if failure.is::<Misused>() {
                MISUSED.into()
            } else if failure.is::<migrate::LeftBehind>() {
                INCOMPLETE.into()
            } else if checks && !failure.is::<check::Wrong>() {
                UNCHECKED.into()
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
