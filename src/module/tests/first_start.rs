//! `ensure_token`: what a container does at its first start, and at every other.

use super::slots::{init, label, slots};
use super::*;
use crate::clock::SystemClock;
use crate::log::NoLog;
use crate::store::DirectoryPlace;

fn ensure(module: &Module, label: &str) -> Result<()> {
    module.ensure_token(label, &pin(SO_PIN), &pin(USER_PIN))
}

#[test]
fn ensuring_a_token_makes_it_once_ready_for_the_user() {
    let place = place();
    let module = module_on(&place);
    ensure(&module, "auto").unwrap();
    let key = token_key(&module, user_session(&module));
    for module in [&module, &module_on(&place)] {
        ensure(module, "auto").unwrap();
        assert_eq!(slots(module), [0, 1]);
        assert_eq!(label(module, 0).as_deref(), Some("auto"));
    }
    let session = module.open_session(SLOT, false).unwrap();
    assert_signs(&module, session, key);
    ensure(&module, "second").unwrap();
    assert_eq!(label(&module, 1).as_deref(), Some("second"));
}

#[test]
fn ensuring_a_token_touches_no_other_even_with_the_same_pin() {
    let place = place();
    let module = module_on(&place);
    for (slot, label) in [(0, "zero"), (1, "one"), (2, "two")] {
        init(&module, slot, label).unwrap();
    }
    place.remove(1).unwrap();
    ensure(&module, "auto").unwrap();
    let labels: Vec<_> = (0..3).map(|slot| label(&module, slot)).collect();
    assert_eq!(labels, ["zero", "auto", "two"].map(|label| Some(label.to_owned())));
}

#[test]
fn many_applications_that_ensure_one_token_make_one() {
    for _ in 0..20 {
        let place = place();
        let modules: Vec<_> = (0..4).map(|_| module_on(&place)).collect();
        std::thread::scope(|scope| {
            for module in &modules {
                scope.spawn(move || {
                    ensure(module, "auto").unwrap();
                    // It is complete as soon as it is there.
                    token_key(module, user_session(module));
                });
            }
        });
        assert_eq!(slots(&modules[0]), [0, 1]);
        let session = modules[0].open_session(SLOT, false).unwrap();
        assert_eq!(found(&modules[0], session, &[]).len(), 4, "no key was lost");
    }
}

#[test]
fn a_changed_pin_is_left_alone() {
    let place = place();
    let module = module_on(&place);
    ensure(&module, "auto").unwrap();
    let session = module.open_session(SLOT, true).unwrap();
    module.set_pin(session, &pin(USER_PIN), &pin(b"changed")).unwrap();
    ensure(&module, "auto").unwrap();
    module.login(session, USER, &pin(b"changed")).unwrap();
}

#[test]
fn a_token_that_has_no_user_pin_gets_it() {
    let place = place();
    let module = module_on(&place);
    let another = pin(b"another SO PIN");
    module.create_token(SLOT, "auto", &another, None).unwrap();
    assert_eq!(ensure(&module, "auto"), Err(Error::PinIncorrect));
    module.init_token(SLOT, &another, "other").expect("no session was left behind");

    module.create_token(SlotId(1), "auto", &pin(SO_PIN), None).unwrap();
    ensure(&module_on(&place), "auto").unwrap();
    assert_eq!(slots(&module), [0, 1, 2]);
    let session = module.open_session(SlotId(1), false).unwrap();
    module.login(session, USER, &pin(USER_PIN)).unwrap();
}

#[test]
fn a_token_that_cannot_be_read_may_be_the_one_but_hides_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let fresh = || {
        let entropy = Arc::new(OsEntropy);
        let place = Arc::new(DirectoryPlace::new(directory.path(), entropy.clone()));
        let surroundings =
            Surroundings { entropy, clock: Arc::new(SystemClock), log: Arc::new(NoLog) };
        Module::new(place, surroundings, &config()).unwrap()
    };
    for label in ["zeroth", "first"] {
        ensure(&fresh(), label).unwrap();
    }
    std::fs::write(directory.path().join("slot-0/token.db"), [0x5a; 4096]).unwrap();
    let later = fresh();
    ensure(&later, "first").unwrap();
    let error = ensure(&later, "zeroth").unwrap_err();
    assert!(matches!(error, Error::StoreDamaged { .. }), "{error}");
    assert!(!directory.path().join("slot-2").exists(), "no second token of its label");
}
