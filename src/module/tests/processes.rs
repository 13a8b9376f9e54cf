//! Two applications on the same tokens.

use super::*;
use crate::types::AttributeType as A;

/// Two applications, each with a user session, and a key that both have used.
fn two(private: bool) -> (Module, SessionHandle, Module, SessionHandle, [ObjectHandle; 2]) {
    let place = place();
    let (one, other) = (ready_on(&place), module_on(&place));
    let (session, elsewhere) = (user_session(&one), user_session(&other));
    let private = if private { TRUE } else { FALSE };
    let mine = key(&one, session, &[(A::Token, TRUE), (A::Private, private)]);
    let theirs = found(&other, elsewhere, &[])[0];
    assert_signs(&one, session, mine);
    assert_signs(&other, elsewhere, theirs);
    (one, session, other, elsewhere, [mine, theirs])
}

#[test]
fn a_key_that_one_destroys_is_refused_by_the_other_at_once() {
    for private in [true, false] {
        let (one, session, other, elsewhere, [mine, theirs]) = two(private);
        one.destroy_object(session, mine).unwrap();
        let none = Err(Error::KeyHandleInvalid(theirs));
        assert_eq!(sign_init(&other, elsewhere, theirs), none);
        assert!(found(&other, elsewhere, &[]).is_empty());
        assert_eq!(
            other.destroy_object(elsewhere, theirs),
            Err(Error::ObjectHandleInvalid(theirs))
        );
    }
}

#[test]
fn an_operation_under_way_elsewhere_is_finished() {
    let (one, session, other, elsewhere, [mine, theirs]) = two(true);
    sign_init(&other, elsewhere, theirs).unwrap();
    one.destroy_object(session, mine).unwrap();
    assert_eq!(hex(&finish(&other, elsewhere, QUESTION).unwrap()), JEFE);
    assert_eq!(sign_init(&other, elsewhere, theirs), Err(Error::KeyHandleInvalid(theirs)));
}

#[test]
fn a_use_that_one_takes_away_is_refused_by_the_other_at_once() {
    let (one, session, other, elsewhere, [mine, theirs]) = two(true);
    one.set_attributes(session, mine, &raw(&[(A::Sign, FALSE)])).unwrap();
    let refused = Err(Error::KeyFunctionNotPermitted);
    assert_eq!(sign_init(&other, elsewhere, theirs), refused);
    assert_eq!(read(&other, elsewhere, theirs, A::Sign).unwrap(), FALSE);
    other.set_attributes(elsewhere, theirs, &raw(&[(A::Sign, TRUE)])).unwrap();
    assert_signs(&one, session, mine);
}

#[test]
fn new_keys_and_new_tokens_appear() {
    let place = place();
    let (one, other) = (module_on(&place), module_on(&place));
    assert_eq!(other.slot_list().unwrap(), [SLOT]);
    one.create_token(SLOT, "token", &pin(SO_PIN), Some(&pin(USER_PIN))).unwrap();
    assert_eq!(other.slot_list().unwrap(), [SLOT, SlotId(1)]);
    let (session, elsewhere) = (user_session(&one), user_session(&other));
    assert!(found(&other, elsewhere, &[]).is_empty());
    key(&one, session, &[(A::Token, TRUE), (A::Label, b"new")]);
    let new = found(&other, elsewhere, &[(A::Label, b"new")]);
    assert_eq!(new.len(), 1);
    assert_signs(&other, elsewhere, new[0]);
}

#[test]
fn what_one_changes_at_the_same_time_as_the_other_is_not_lost() {
    let (one, session, other, elsewhere, [mine, theirs]) = two(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..50 {
                one.set_attributes(session, mine, &raw(&[(A::Label, b"label")])).unwrap();
            }
        });
        scope.spawn(|| {
            for _ in 0..50 {
                other.set_attributes(elsewhere, theirs, &raw(&[(A::Id, b"id")])).unwrap();
            }
        });
    });
    for (module, session, key) in [(&one, session, mine), (&other, elsewhere, theirs)] {
        assert_eq!(read(module, session, key, A::Label).unwrap(), b"label");
        assert_eq!(read(module, session, key, A::Id).unwrap(), b"id");
    }
}
