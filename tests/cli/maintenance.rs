//! Keeping a token in order, and ending it, while programs use it.

use super::place::*;
use signet_pkcs11::clock::SystemClock;
use signet_pkcs11::config::Config;
use signet_pkcs11::entropy::OsEntropy;
use signet_pkcs11::error::Error;
use signet_pkcs11::log::NoLog;
use signet_pkcs11::module::Module;
use signet_pkcs11::secret::Pin;
use signet_pkcs11::store::DirectoryPlace;
use signet_pkcs11::token::Surroundings;
use signet_pkcs11::types::{
    AttributeType, ObjectClass, RawAttribute, SessionHandle, SlotId, UserType,
};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;

/// A program that uses the token in slot 0 meanwhile, its user logged in.
struct Program {
    module: Module,
    session: SessionHandle,
}

impl Program {
    fn on(place: &Place) -> Self {
        let entropy = Arc::new(OsEntropy);
        let tokens = place.path().join("tokens");
        let surroundings = Surroundings {
            entropy: entropy.clone(),
            clock: Arc::new(SystemClock),
            log: Arc::new(NoLog),
        };
        let config = Config::with_token_dir(tokens.clone());
        let tokens = Arc::new(DirectoryPlace::new(tokens, entropy));
        let module = Module::new(tokens, surroundings, &config).unwrap();
        let session = module.open_session(SlotId(0), true).unwrap();
        module.login(session, UserType::User, &Pin::copied(PIN.as_bytes())).unwrap();
        Self { module, session }
    }

    /// Makes data objects of this size, and destroys them.
    fn litter(&self, count: usize, size: usize) {
        let class = ObjectClass::Data.to_ck().to_ne_bytes();
        let value = vec![0x5a; size];
        let template = [
            (AttributeType::Class, &class[..]),
            (AttributeType::Token, &[1]),
            (AttributeType::Value, &value),
        ]
        .map(|(attribute, value)| RawAttribute { number: attribute.to_ck(), value });
        let made = || self.module.create_object(self.session, &template).unwrap();
        let made: Vec<_> = (0..count).map(|_| made()).collect();
        for object in made {
            self.module.destroy_object(self.session, object).unwrap();
        }
    }

    /// How many objects there are.
    fn count(&self) -> Result<usize, Error> {
        self.module.find_objects_init(self.session, &[])?;
        let found = self.module.find_objects(self.session, usize::MAX)?.len();
        self.module.find_objects_final(self.session)?;
        Ok(found)
    }
}

fn with_key() -> Place {
    let place = Place::with_token();
    place.says(&["key", "generate", "--token", "demo", "--key", "a"], "Generated");
    place
}

#[test]
fn what_guards_the_pins_is_shown_and_when_the_root_key_was_made() {
    let place = Place::with_token();
    let shown = place.says(&["token", "show", "demo"], "root key made:         20");
    let guard = "guarded by:          Argon2id, m=19456 KiB, t=2, p=1\n";
    assert_eq!(shown.matches(guard).count(), 2, "{shown}");
}

#[test]
fn the_root_key_is_replaced_under_a_running_program() {
    let place = with_key();
    let program = Program::on(&place);
    let sign = ["mac", "sign", "--token", "demo", "--key", "a"];
    let mac = texts(&place.run_with(&sign, Some(PIN), b"message"));
    let rotate = ["token", "rotate-root-key", "demo"];
    fails(&place.run_with(&rotate, Some("4321"), b""), 1, "wrong PIN; 9 attempts left");
    let done = "The root key of \"demo\" is a new one; 1 object sealed under it.";
    place.says(&rotate, done);
    assert_eq!(texts(&place.run_with(&sign, Some(PIN), b"message")), mac);
    assert_eq!(program.count(), Ok(1));
    program.litter(1, 10);
}

#[test]
fn compacting_gives_back_what_was_removed_under_a_running_program() {
    let place = with_key();
    let program = Program::on(&place);
    program.litter(200, 4096);
    let said = place.says(&["token", "compact", "demo"], "Token \"demo\": ");
    let numbers: Vec<u64> = said.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [before, now] = numbers[..] else { panic!("{said}") };
    assert!(before > 400_000 && now < 100_000, "{said}");
    assert_eq!(program.count(), Ok(1));
    program.litter(1, 10);
    place.fails(&["token", "compact", "other"], 1, "no token is labelled \"other\"");
}

#[test]
fn a_token_is_destroyed_under_a_running_program() {
    let place = with_key();
    let program = Program::on(&place);
    let mut database = File::open(place.database()).unwrap();
    place.says(&["token", "zeroize", "demo", "--yes"], "Token \"demo\" in slot 0 is destroyed.");
    assert_eq!(program.count(), Err(Error::TokenNotPresent(SlotId(0))));
    let mut left = Vec::new();
    database.read_to_end(&mut left).unwrap();
    assert!(left.len() > 10_000 && left.iter().all(|byte| *byte == 0), "overwritten");
    place.says(&["token", "list"], "No tokens in");
    place.fails(&["token", "zeroize", "demo", "--yes"], 1, "no token is labelled \"demo\"");
    place.says(&["token", "init", "--label", "demo"], "slot 0");
}

#[test]
fn destroying_needs_the_security_officer_s_pin_or_force() {
    let place = Place::with_token();
    let zeroize = ["token", "zeroize", "demo", "--yes"];
    let wrong = place.file("wrong", "87654321");
    let with_wrong = [&zeroize[..], &["--so-pin-file", &wrong]].concat();
    for left in (2..10).rev() {
        place.fails(&with_wrong, 1, &format!("wrong security officer PIN; {left} attempts left"));
    }
    place.fails(&with_wrong, 1, "wrong security officer PIN; the next wrong one locks it");
    place.fails(&with_wrong, 1, "wrong security officer PIN; it is now locked");
    place.fails(
        &zeroize,
        1,
        "the security officer PIN of \"demo\" is locked; --force destroys the token without it",
    );
    place.says(&["token", "zeroize", "demo", "--yes", "--force"], "is destroyed");
}

#[test]
fn a_token_that_cannot_be_read_is_destroyed_by_its_slot() {
    let place = Place::with_token();
    std::fs::write(place.database(), [0x5a; 4096]).unwrap();
    let zeroize = ["token", "zeroize", "--slot", "0", "--yes"];
    place.fails(&zeroize, 1, "Where no PIN can be checked, --force destroys the token");
    let forced = [&zeroize[..], &["--force"]].concat();
    place.says(&forced, "Token \"slot-0\" in slot 0 is destroyed.");
    assert!(!place.path().join("tokens/slot-0").exists());
    place.fails(&forced, 1, "no token is in slot 0");
    place.fails(&["token", "zeroize", "--slot", "7", "--yes"], 1, "no token is in slot 7");
}

#[test]
fn a_token_whose_file_others_may_write_is_overwritten_all_the_same() {
    let place = Place::with_token();
    let path = place.database();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    let mut database = File::open(&path).unwrap();
    let forced = ["token", "zeroize", "--slot", "0", "--yes", "--force"];
    place.says(&forced, "Token \"slot-0\" in slot 0 is destroyed.");
    let mut left = Vec::new();
    database.read_to_end(&mut left).unwrap();
    assert!(left.len() > 10_000 && left.iter().all(|byte| *byte == 0), "overwritten");
}

#[test]
fn nothing_is_destroyed_unless_its_label_is_typed() {
    let place = Place::with_token();
    place.fails(&["token", "zeroize", "demo"], 1, "no terminal to confirm at: give --yes");
    let zeroize = format!("{} token zeroize demo", env!("CARGO_BIN_EXE_signet"));
    let typed = |text: &str| {
        let mut command = Command::new("script");
        command
            .args(["--quiet", "--return", "--command", &zeroize, "/dev/null"])
            .env_clear()
            .env("SIGNET_TOKENDIR", place.path().join("tokens"))
            .env("SIGNET_SO_PIN", "12345678");
        let output = fed(command, text.as_bytes());
        (output.status.success(), texts(&output).0)
    };
    let (done, said) = typed("yes\n");
    assert!(!done && said.contains("not confirmed; nothing was destroyed"), "{said}");
    let (done, said) = typed("demo\n");
    assert!(done && said.contains("Type demo to go on: "), "{said}");
    place.says(&["token", "list"], "No tokens in");
}
