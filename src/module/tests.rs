use super::*;
use crate::clock::SystemClock;
use crate::entropy::OsEntropy;
use crate::store::{DirectoryPlace, MemoryPlace};
use crate::token::PinState;

const SO_PIN: &[u8] = b"so-pin-5521";
const USER_PIN: &[u8] = b"user-pin-7304";

/// One application over the tokens of `place`.
fn module(place: &Arc<impl Place + 'static>) -> Module {
    let entropy = Arc::new(OsEntropy);
    let surroundings = Surroundings { entropy, clock: Arc::new(SystemClock) };
    let mut config = Config::with_token_dir("/nowhere".into());
    config.argon2 = Argon2Cost { memory_kib: 8, iterations: 1, lanes: 1 };
    Module::new(place.clone(), surroundings, &config).unwrap()
}

fn ensure(module: &Module) -> Result<()> {
    ensure_labelled(module, "first")
}

fn ensure_labelled(module: &Module, label: &str) -> Result<()> {
    module.ensure_token(label, &Pin::copied(SO_PIN), &Pin::copied(USER_PIN))
}

/// The state of the user PIN in the one token that there is.
fn user_pin(module: &Module) -> PinState {
    let tokens: Vec<_> = module
        .slot_list()
        .unwrap()
        .into_iter()
        .filter_map(|slot| module.token_info(slot).unwrap().token)
        .collect();
    let [token] = &tokens[..] else { panic!("{} tokens", tokens.len()) };
    token.user
}

fn log_in(module: &Module, pin: &[u8]) -> Result<()> {
    let session = module.open_session(SlotId(0), false)?;
    module.login(session, UserType::User, &Pin::copied(pin))
}

#[test]
fn a_token_is_made_at_the_first_start_and_left_alone_afterwards() {
    let place = Arc::new(MemoryPlace::new());
    ensure(&module(&place)).unwrap();
    let later = module(&place);
    let session = later.open_session(SlotId(0), true).unwrap();
    later.set_pin(session, &Pin::copied(USER_PIN), &Pin::copied(b"changed")).unwrap();
    later.close_session(session).unwrap();
    ensure(&later).unwrap();
    assert!(user_pin(&later).initialized);
    log_in(&later, b"changed").unwrap();
}

#[test]
fn a_first_start_that_was_stopped_half_way_is_finished_by_the_next() {
    let place = Arc::new(MemoryPlace::new());
    module(&place).init_token(SlotId(0), &Pin::copied(SO_PIN), "first").unwrap();
    let later = module(&place);
    assert!(!user_pin(&later).initialized);
    ensure(&later).unwrap();
    assert!(user_pin(&later).initialized);
    log_in(&later, USER_PIN).unwrap();
}

#[test]
fn a_token_that_cannot_be_read_may_be_the_one_but_hides_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let place = || Arc::new(DirectoryPlace::new(directory.path(), Arc::new(OsEntropy)));
    for label in ["zeroth", "first"] {
        ensure_labelled(&module(&place()), label).unwrap();
    }
    std::fs::write(directory.path().join("slot-0/token.db"), [0x5a; 4096]).unwrap();
    let later = module(&place());
    ensure(&later).unwrap();
    let error = ensure_labelled(&later, "zeroth").unwrap_err();
    assert!(matches!(error, Error::StoreDamaged { .. }), "{error}");
    assert!(!directory.path().join("slot-2").exists(), "no second token of its label");
}

#[test]
fn every_cost_that_can_be_configured_can_be_used() {
    let PinParameters { memory_kib, iterations, lanes } = PinParameters::MAX;
    assert_eq!(Argon2Cost::CEILING, Argon2Cost { memory_kib, iterations, lanes });
}
