//! Slots, tokens, mechanisms on offer.

use super::*;
use crate::config::Mechanisms;
use crate::policy::Principal;
use crate::store::Place as _;

pub(super) fn slots(module: &Module) -> Vec<Ulong> {
    module.slot_list().unwrap().into_iter().map(|slot| slot.0).collect()
}

pub(super) fn label(module: &Module, slot: Ulong) -> Option<String> {
    module.token_info(SlotId(slot)).unwrap().token.map(|info| info.label)
}

pub(super) fn init(module: &Module, slot: Ulong, label: &str) -> Result<()> {
    module.init_token(SlotId(slot), &pin(SO_PIN), label)
}

#[test]
fn slots_are_numbered_from_zero_stay_and_one_more_is_empty() {
    let place = place();
    let module = module_on(&place);
    assert_eq!(slots(&module), [0]);
    assert_eq!(label(&module, 0), None);
    for slot in 0..3 {
        init(&module, slot, &format!("token {slot}")).unwrap();
    }
    assert_eq!(slots(&module), [0, 1, 2, 3]);
    place.remove(1).unwrap();
    for module in [&module, &module_on(&place)] {
        assert_eq!(slots(module), [0, 1, 2]);
        assert_eq!(label(module, 0).as_deref(), Some("token 0"));
        assert_eq!(label(module, 1), None);
        assert_eq!(label(module, 2).as_deref(), Some("token 2"));
    }
}

#[test]
fn there_are_no_other_slots() {
    let module = ready();
    for number in [2, 99, Ulong::MAX] {
        let slot = SlotId(number);
        let none = Error::SlotIdInvalid(slot);
        assert_eq!(module.slot_info(slot).unwrap_err(), none);
        assert_eq!(module.token_info(slot).unwrap_err(), none);
        assert_eq!(module.open_session(slot, false).unwrap_err(), none);
        assert_eq!(module.close_all_sessions(slot).unwrap_err(), none);
        assert_eq!(init(&module, number, "token").unwrap_err(), none);
    }
}

#[test]
fn a_slot_reports_what_the_configuration_calls_it() {
    for removable in [false, true] {
        let module = module_with(&place(), &Config { slots_removable: removable, ..config() });
        assert_eq!(module.slot_info(SLOT).unwrap().removable, removable);
    }
}

#[test]
fn an_empty_slot_takes_a_token_and_no_session() {
    let module = module_on(&place());
    for read_write in [false, true] {
        let refused = module.open_session(SLOT, read_write);
        assert_eq!(refused.unwrap_err(), Error::TokenNotRecognized(SLOT));
    }
    init(&module, 0, "token").unwrap();
    module.open_session(SLOT, false).unwrap();
}

#[test]
fn sessions_are_counted_by_sort() {
    let module = ready();
    let first = module.open_session(SLOT, true).unwrap();
    module.open_session(SLOT, false).unwrap();
    module.open_session(SLOT, false).unwrap();
    let count = || {
        let info = module.token_info(SLOT).unwrap();
        (info.sessions, info.read_write_sessions)
    };
    assert_eq!(count(), (3, 1));
    module.close_session(first).unwrap();
    assert_eq!(count(), (2, 0));
    module.close_all_sessions(SLOT).unwrap();
    assert_eq!(count(), (0, 0));
}

#[test]
fn initialising_needs_that_nobody_has_a_session_here_or_elsewhere() {
    let place = place();
    let (module, other) = (ready_on(&place), module_on(&place));
    for module_with_session in [&module, &other] {
        let session = module_with_session.open_session(SLOT, false).unwrap();
        assert_eq!(init(&module, 0, "anew"), Err(Error::SessionExists));
        module_with_session.close_session(session).unwrap();
    }
    init(&module, 0, "anew").unwrap();
    assert_eq!(label(&other, 0).as_deref(), Some("anew"));
}

#[test]
fn initialising_again_needs_the_so_pin_and_forgets_every_handle() {
    let module = ready();
    let session = user_session(&module);
    let public = [(AttributeType::Token, TRUE), (AttributeType::Private, FALSE)];
    let key = key(&module, session, &public);
    module.close_session(session).unwrap();
    let wrong = module.init_token(SLOT, &pin(USER_PIN), "anew");
    assert_eq!(wrong, Err(Error::PinIncorrect));
    init(&module, 0, "anew").unwrap();
    let session = module.open_session(SLOT, true).unwrap();
    let gone = read(&module, session, key, AttributeType::Label);
    assert_eq!(gone, Err(Error::ObjectHandleInvalid(key)));
    let no_pin = module.login(session, USER, &pin(USER_PIN));
    assert_eq!(no_pin, Err(Error::UserPinNotInitialized));
}

#[test]
fn creating_never_empties_a_token_that_is_there() {
    let place = place();
    let (module, late) = (module_on(&place), module_on(&place));
    let create = |module: &Module, label| module.create_token(SLOT, label, &pin(SO_PIN), None);
    assert_eq!(label_of_empty(&late), None);
    create(&module, "first").unwrap();
    for module in [&module, &late] {
        assert_eq!(create(module, "second"), Err(Error::SlotIdInvalid(SLOT)));
        assert_eq!(label(module, 0).as_deref(), Some("first"));
    }
}

/// Looks at slot 0, so that the module knows it as empty.
fn label_of_empty(module: &Module) -> Option<String> {
    label(module, 0)
}

#[test]
fn a_slot_whose_token_was_removed_takes_another() {
    let place = place();
    let (module, other) = (ready_on(&place), module_on(&place));
    let session = user_session(&module);
    let key = token_key(&module, session);
    place.remove(0).unwrap();
    let gone = Error::TokenNotPresent(SLOT);
    assert_eq!(sign_init(&module, session, key), Err(gone.clone()));
    assert_eq!(module.open_session(SLOT, true).unwrap_err(), gone);
    module.close_session(session).unwrap();
    assert_eq!(label(&module, 0), None);

    init(&other, 0, "another").unwrap();
    assert_eq!(label(&module, 0).as_deref(), Some("another"));
    let session = module.open_session(SLOT, true).unwrap();
    assert_eq!(sign_init(&module, session, key), Err(Error::KeyHandleInvalid(key)));
    assert!(found(&module, session, &[]).is_empty());
}

#[test]
fn a_slot_that_somebody_is_about_to_use_is_not_made_anew() {
    let place = place();
    let module = ready_on(&place);
    init(&module, 1, "one more").unwrap();
    assert_eq!(slots(&module), [0, 1, 2]);
    let held = module.slot(SlotId(2)).unwrap();
    place.remove(1).unwrap();
    assert_eq!(slots(&module), [0, 1, 2]);
    init(&module_on(&place), 1, "another").unwrap();
    assert_eq!(slots(&module), [0, 1, 2]);
    assert!(Arc::ptr_eq(&held, &module.slot(SlotId(2)).unwrap()));
    drop(held);
    place.remove(1).unwrap();
    assert_eq!(slots(&module), [0, 1]);
}

#[test]
fn a_slot_event_tells_of_tokens_that_others_made() {
    let place = place();
    let (module, other) = (module_on(&place), module_on(&place));
    assert_eq!(module.slot_event(), Err(Error::NoEvent));
    init(&module, 0, "own").unwrap();
    assert_eq!(module.slot_event(), Err(Error::NoEvent));
    init(&other, 1, "foreign").unwrap();
    init(&other, 2, "foreign too").unwrap();
    assert_eq!(module.slot_event(), Ok(SlotId(1)));
    assert_eq!(module.slot_event(), Ok(SlotId(2)));
    assert_eq!(module.slot_event(), Err(Error::NoEvent));
    assert_eq!(other.slot_event(), Ok(SlotId(0)));
    assert_eq!(module_on(&place).slot_event(), Err(Error::NoEvent), "known from the start");
}

#[test]
fn what_the_configuration_leaves_out_is_not_offered() {
    let only = Config { mechanisms: Mechanisms::Only(vec![HMAC]), ..config() };
    let without = Config { mechanisms: Mechanisms::AllBut(vec![HMAC]), ..config() };
    let place = place();
    ready_on(&place);
    let (only, without) = (module_with(&place, &only), module_with(&place, &without));
    let offered: Vec<_> = only.mechanisms().map(|row| row.mechanism).collect();
    assert_eq!(offered, [HMAC]);
    assert_eq!(without.mechanisms().count(), CATALOGUE.len() - 1);

    let refused = |mechanism: MechanismType| Error::MechanismInvalid(mechanism.to_ck());
    assert!(only.mechanism_info(HMAC.to_ck()).is_ok());
    assert_eq!(without.mechanism_info(HMAC.to_ck()).unwrap_err(), refused(HMAC));

    let session = user_session(&without);
    let key = public_key(&without, session);
    assert_eq!(sign_init(&without, session, key), Err(refused(HMAC)));

    let session = user_session(&only);
    let key = public_key(&only, session);
    assert_signs(&only, session, key);
    let digest = MechanismType::Sha256;
    let begun = only.digest_init(session, mechanism(digest));
    assert_eq!(begun, Err(refused(digest)));
    let with_parameter = RawMechanism { number: digest.to_ck(), parameter: &[0] };
    let begun = only.digest_init(session, with_parameter);
    assert_eq!(begun, Err(refused(digest)), "what is not offered has no right parameter");
    let generator = MechanismType::GenericSecretKeyGen;
    let length = ck(32);
    let template = [(AttributeType::ValueLen, &length[..])];
    let made = only.generate_key(session, mechanism(generator), &raw(&template));
    assert_eq!(made.unwrap_err(), refused(generator));
}

#[test]
fn a_mechanism_that_nobody_knows_is_invalid() {
    let module = ready();
    for number in [0, 1, 0x8000_0001, Ulong::MAX] {
        let unknown = module.mechanism_info(number).unwrap_err();
        assert_eq!(unknown, Error::MechanismInvalid(number));
    }
}

#[test]
fn a_token_is_destroyed_with_the_so_pin_or_without_one_while_it_is_used() {
    for so_pin in [Some(pin(SO_PIN)), None] {
        let place = place();
        let (here, there) = (ready_on(&place), module_on(&place));
        let session = user_session(&there);
        let wrong = here.zeroize_token(SLOT, Some(&pin(b"wrong")));
        assert_eq!(wrong, Err(Error::PinIncorrect));
        assert_eq!(here.token_info(SLOT).unwrap().token.unwrap().security_officer.failures, 1);
        here.zeroize_token(SLOT, so_pin.as_ref()).unwrap();
        let gone = Error::TokenNotPresent(SLOT);
        assert_eq!(here.zeroize_token(SLOT, so_pin.as_ref()), Err(gone.clone()));
        assert_eq!(here.compact_token(SLOT), Err(gone.clone()));
        assert_eq!(there.find_objects_init(session, &[]), Err(gone));
        assert_eq!(there.session_info(session).unwrap().principal, Principal::Public);
        there.close_session(session).unwrap();
        assert!(there.token_info(SLOT).unwrap().token.is_none());
        there.create_token(SLOT, "new", &pin(SO_PIN), None).unwrap();
    }
}
