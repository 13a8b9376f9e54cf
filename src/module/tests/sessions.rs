//! Sessions, logins, PINs.

use super::*;
use crate::policy::Principal;
use crate::session::Cancel;
use std::collections::HashSet;

fn principal(module: &Module, session: SessionHandle) -> Principal {
    module.session_info(session).unwrap().principal
}

#[test]
fn a_session_tells_its_slot_sort_and_login() {
    let module = ready();
    let session = module.open_session(SLOT, false).unwrap();
    let info = module.session_info(session).unwrap();
    assert_eq!((info.slot, info.principal, info.read_write), (SLOT, Principal::Public, false));
    let other = user_session(&module);
    assert!(module.session_info(other).unwrap().read_write);
    assert_eq!(principal(&module, session), Principal::Owner, "a login counts for all sessions");
}

#[test]
fn session_handles_are_never_given_twice() {
    let module = ready();
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let sessions = [false, true].map(|sort| module.open_session(SLOT, sort).unwrap());
        assert!(sessions.iter().all(|session| session.0 != 0 && seen.insert(*session)));
        module.close_session(sessions[0]).unwrap();
    }
}

#[test]
fn a_closed_session_and_a_foreign_number_are_no_sessions() {
    let module = ready();
    let closed = module.open_session(SLOT, true).unwrap();
    module.close_session(closed).unwrap();
    for handle in [closed, SessionHandle(0), SessionHandle(Ulong::MAX)] {
        let none = Error::SessionHandleInvalid(handle);
        let key = ObjectHandle(1);
        assert_eq!(module.close_session(handle), Err(none.clone()));
        assert_eq!(module.session_info(handle).unwrap_err(), none);
        assert_eq!(module.login(handle, USER, &pin(USER_PIN)), Err(none.clone()));
        assert_eq!(module.logout(handle), Err(none.clone()));
        assert_eq!(module.init_pin(handle, &pin(USER_PIN)), Err(none.clone()));
        assert_eq!(module.session_cancel(handle, Cancel::SIGN), Err(none.clone()));
        assert_eq!(sign_init(&module, handle, key), Err(none.clone()));
        assert_eq!(finish(&module, handle, b""), Err(none.clone()));
        assert_eq!(module.find_objects_init(handle, &[]), Err(none.clone()));
        assert_eq!(module.destroy_object(handle, key), Err(none.clone()));
        assert_eq!(module.seed_random(handle, b"seed"), Err(none.clone()));
        assert_eq!(module.generate_random(handle, &mut [0; 4]), Err(none));
    }
}

#[test]
fn all_sessions_of_a_slot_close_at_once_and_no_others() {
    let module = ready();
    module.init_token(SlotId(1), &pin(SO_PIN), "other").unwrap();
    let other = module.open_session(SlotId(1), false).unwrap();
    let sessions = [false, true, true].map(|sort| module.open_session(SLOT, sort).unwrap());
    module.close_all_sessions(SLOT).unwrap();
    assert!(sessions.iter().all(|session| module.session_info(*session).is_err()));
    module.session_info(other).unwrap();
}

#[test]
fn the_last_session_takes_the_login_with_it() {
    let module = ready();
    let (one, two) = (user_session(&module), module.open_session(SLOT, false).unwrap());
    module.close_session(one).unwrap();
    assert_eq!(principal(&module, two), Principal::Owner);
    module.close_session(two).unwrap();
    let session = module.open_session(SLOT, false).unwrap();
    assert_eq!(principal(&module, session), Principal::Public);
    user_session(&module);
    module.close_all_sessions(SLOT).unwrap();
    let session = module.open_session(SLOT, false).unwrap();
    assert_eq!(principal(&module, session), Principal::Public);
}

#[test]
fn a_login_counts_for_its_slot_and_its_application_alone() {
    let place = place();
    let (module, elsewhere) = (ready_on(&place), module_on(&place));
    module.init_token(SlotId(1), &pin(SO_PIN), "other").unwrap();
    let other = module.open_session(SlotId(1), false).unwrap();
    let foreign = elsewhere.open_session(SLOT, false).unwrap();
    user_session(&module);
    assert_eq!(principal(&module, other), Principal::Public);
    assert_eq!(principal(&elsewhere, foreign), Principal::Public);
}

#[test]
fn the_security_officer_works_in_read_write_sessions_only() {
    let module = ready();
    let read_only = module.open_session(SLOT, false).unwrap();
    let session = module.open_session(SLOT, true).unwrap();
    for handle in [read_only, session] {
        let refused = module.login(handle, SO, &pin(SO_PIN));
        assert_eq!(refused, Err(Error::SessionReadOnlyExists));
    }
    module.close_session(read_only).unwrap();
    module.login(session, SO, &pin(SO_PIN)).unwrap();
    let refused = module.open_session(SLOT, false);
    assert_eq!(refused.unwrap_err(), Error::SessionReadWriteSoExists);
    module.open_session(SLOT, true).unwrap();
    module.logout(session).unwrap();
    module.open_session(SLOT, false).unwrap();
}

#[test]
fn a_refused_so_login_counts_no_attempt() {
    let module = ready();
    let session = module.open_session(SLOT, false).unwrap();
    for _ in 0..5 {
        let refused = module.login(session, SO, &pin(b"wrong"));
        assert_eq!(refused, Err(Error::SessionReadOnlyExists));
    }
    let info = module.token_info(SLOT).unwrap().token.unwrap();
    assert_eq!(info.security_officer.failures, 0);
}

#[test]
fn logins_and_logouts_follow_each_other() {
    let module = ready();
    let session = module.open_session(SLOT, true).unwrap();
    let login = |user, with: &[u8]| module.login(session, user, &pin(with));
    assert_eq!(module.logout(session), Err(Error::UserNotLoggedIn));
    assert_eq!(login(USER, b"wrong"), Err(Error::PinIncorrect));
    login(USER, USER_PIN).unwrap();
    assert_eq!(login(USER, USER_PIN), Err(Error::UserAlreadyLoggedIn));
    assert_eq!(login(SO, SO_PIN), Err(Error::UserAnotherAlreadyLoggedIn));
    module.logout(session).unwrap();
    assert_eq!(module.logout(session), Err(Error::UserNotLoggedIn));
    login(SO, SO_PIN).unwrap();
    assert_eq!(principal(&module, session), Principal::SecurityOfficer);
    let context = login(UserType::ContextSpecific, USER_PIN);
    assert_eq!(context, Err(Error::OperationNotInitialized));
}

#[test]
fn only_the_so_sets_the_user_pin() {
    let module = ready();
    let session = module.open_session(SLOT, true).unwrap();
    let set = |with: &[u8]| module.init_pin(session, &pin(with));
    assert_eq!(set(b"other"), Err(Error::UserNotLoggedIn));
    module.login(session, USER, &pin(USER_PIN)).unwrap();
    assert_eq!(set(b"other"), Err(Error::UserNotLoggedIn));
    module.logout(session).unwrap();
    module.login(session, SO, &pin(SO_PIN)).unwrap();
    assert_eq!(set(b"123"), Err(Error::PinLenRange));
    set(b"other").unwrap();
    module.logout(session).unwrap();
    module.login(session, USER, &pin(b"other")).unwrap();
}

#[test]
fn a_pin_is_changed_by_whoever_is_logged_in_or_else_for_the_user() {
    let module = ready();
    let session = module.open_session(SLOT, true).unwrap();
    let change = |old: &[u8], new: &[u8]| module.set_pin(session, &pin(old), &pin(new));
    change(USER_PIN, b"user 2").unwrap();
    module.login(session, USER, &pin(b"user 2")).unwrap();
    assert_eq!(change(b"wrong", b"user 3"), Err(Error::PinIncorrect));
    change(b"user 2", b"user 3").unwrap();
    assert_eq!(principal(&module, session), Principal::Owner, "the login stays");
    module.logout(session).unwrap();
    module.login(session, SO, &pin(SO_PIN)).unwrap();
    change(SO_PIN, b"so 2").unwrap();
    module.logout(session).unwrap();
    module.login(session, SO, &pin(b"so 2")).unwrap();
    module.logout(session).unwrap();
    module.login(session, USER, &pin(b"user 3")).unwrap();
}

#[test]
fn a_read_only_session_changes_no_pin() {
    let module = ready();
    let session = module.open_session(SLOT, false).unwrap();
    let refused = module.set_pin(session, &pin(USER_PIN), &pin(b"other"));
    assert_eq!(refused, Err(Error::SessionReadOnly));
}

#[test]
fn operations_are_cancelled_by_name() {
    let module = ready();
    let session = user_session(&module);
    let key = public_key(&module, session);
    sign_init(&module, session, key).unwrap();
    module.digest_init(session, mechanism(MechanismType::Sha256)).unwrap();
    module.session_cancel(session, Cancel::VERIFY).unwrap();
    module.session_cancel(session, &[Cancel::Search]).unwrap();
    assert_eq!(sign_init(&module, session, key), Err(Error::OperationActive));
    module.session_cancel(session, Cancel::SIGN).unwrap();
    sign_init(&module, session, key).unwrap();
    let digest = module.digest_init(session, mechanism(MechanismType::Sha256));
    assert_eq!(digest, Err(Error::OperationActive));
    module.session_cancel(session, &[Cancel::Mac(Purpose::Sign), Cancel::Digest]).unwrap();
    module.find_objects_init(session, &[]).unwrap();
    assert_eq!(sign_init(&module, session, key), Err(Error::OperationActive));
    module.session_cancel(session, &[Cancel::Search]).unwrap();
    assert_signs(&module, session, key);
}

#[test]
fn an_aborted_operation_is_the_one_that_is_meant() {
    let module = ready();
    let session = user_session(&module);
    let key = public_key(&module, session);
    sign_init(&module, session, key).unwrap();
    module.session_cancel(session, &[Cancel::Mac(Purpose::Verify)]).unwrap();
    assert!(finish(&module, session, b"").is_ok());
    sign_init(&module, session, key).unwrap();
    module.session_cancel(session, &[Cancel::Mac(Purpose::Sign)]).unwrap();
    assert_eq!(finish(&module, session, b""), Err(Error::OperationNotInitialized));
}

#[test]
fn sessions_have_their_own_operations() {
    let module = ready();
    let (one, two) = (user_session(&module), module.open_session(SLOT, false).unwrap());
    let key = token_key(&module, one);
    sign_init(&module, one, key).unwrap();
    assert_eq!(finish(&module, two, b""), Err(Error::OperationNotInitialized));
    assert_signs(&module, two, key);
    assert_eq!(hex(&finish(&module, one, QUESTION).unwrap()), JEFE);
}

/// The PIN was set anew, then the root key replaced: the old login opens nothing more.
#[test]
fn a_login_that_has_ended_by_itself_leaves_nothing_to_the_next() {
    let place = place();
    let (here, there) = (ready_on(&place), module_on(&place));
    let session = user_session(&there);
    let left = key(&there, session, &[(AttributeType::Private, TRUE)]);

    let other = here.open_session(SLOT, true).unwrap();
    here.login(other, USER, &pin(USER_PIN)).unwrap();
    here.set_pin(other, &pin(USER_PIN), &pin(b"changed")).unwrap();
    here.rotate_root_key(other).unwrap();

    there.token_info(SLOT).unwrap();
    assert_eq!(principal(&there, session), Principal::Public);
    there.login(session, USER, &pin(b"changed")).unwrap();
    let gone = there.object_size(session, left);
    assert_eq!(gone, Err(Error::ObjectHandleInvalid(left)));
}

#[test]
fn the_root_key_is_replaced_in_a_read_write_session_of_the_user_only() {
    let module = ready();
    let (reading, writing) =
        (module.open_session(SLOT, false).unwrap(), module.open_session(SLOT, true).unwrap());
    assert_eq!(module.rotate_root_key(writing), Err(Error::UserNotLoggedIn));
    module.login(writing, USER, &pin(USER_PIN)).unwrap();
    assert_eq!(module.rotate_root_key(reading), Err(Error::SessionReadOnly));
    assert_eq!(module.rotate_root_key(writing), Ok(0));
}
