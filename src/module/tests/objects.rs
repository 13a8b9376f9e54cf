//! Objects and their handles.

use super::*;
use crate::types::AttributeType as A;

const TOKEN: (A, &[u8]) = (A::Token, TRUE);
const PUBLIC: (A, &[u8]) = (A::Private, FALSE);

fn data(module: &Module, session: SessionHandle, more: &[(A, &[u8])]) -> Result<ObjectHandle> {
    let class = ck(ObjectClass::Data.to_ck());
    let mut template = vec![(A::Class, &class[..]), (A::Value, &b"value"[..])];
    template.extend(more);
    module.create_object(session, &raw(&template))
}

fn gone(module: &Module, session: SessionHandle, object: ObjectHandle) -> bool {
    match read(module, session, object, A::Label) {
        Ok(_) => false,
        Err(Error::ObjectHandleInvalid(handle)) if handle == object => true,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn object_handles_are_never_given_twice() {
    let module = ready();
    let session = user_session(&module);
    let mut seen = std::collections::HashSet::new();
    for round in 0..100 {
        let handle =
            if round % 2 == 0 { public_key(&module, session) } else { token_key(&module, session) };
        assert!(handle.0 != 0 && seen.insert(handle));
        module.destroy_object(session, handle).unwrap();
        assert!(gone(&module, session, handle));
        assert_eq!(module.destroy_object(session, handle), Err(Error::ObjectHandleInvalid(handle)));
    }
}

#[test]
fn a_token_object_has_one_handle_in_all_sessions() {
    let module = ready();
    let session = user_session(&module);
    let other = module.open_session(SLOT, false).unwrap();
    let key = token_key(&module, session);
    assert_eq!(found(&module, session, &[]), [key]);
    assert_eq!(found(&module, other, &[]), [key]);
    assert_signs(&module, other, key);
}

#[test]
fn handles_of_private_objects_die_at_logout_and_those_of_public_ones_stay() {
    let module = ready();
    let session = user_session(&module);
    let private = [key(&module, session, &[TOKEN]), key(&module, session, &[])];
    let public = [key(&module, session, &[TOKEN, PUBLIC]), key(&module, session, &[PUBLIC])];
    module.logout(session).unwrap();
    for handle in private {
        assert!(gone(&module, session, handle));
    }
    for handle in public {
        assert!(!gone(&module, session, handle));
    }
    assert_eq!(found(&module, session, &[]), sorted(&public));
    module.login(session, USER, &pin(USER_PIN)).unwrap();
    for handle in private {
        assert!(gone(&module, session, handle), "a new login does not revive it");
    }
    let again = found(&module, session, &[(A::Private, TRUE)]);
    assert_eq!(again.len(), 1, "the token's object is there, the session's is gone");
    assert_signs(&module, session, again[0]);
    assert_signs(&module, session, public[0]);
}

fn sorted(handles: &[ObjectHandle]) -> Vec<ObjectHandle> {
    let mut handles = handles.to_vec();
    handles.sort();
    handles
}

#[test]
fn a_handle_is_good_in_the_slot_that_it_belongs_to() {
    let module = ready();
    let session = user_session(&module);
    module.init_token(SlotId(1), &pin(SO_PIN), "other").unwrap();
    let other = module.open_session(SlotId(1), true).unwrap();
    for handle in [token_key(&module, session), public_key(&module, session)] {
        assert!(gone(&module, other, handle));
        assert_eq!(sign_init(&module, other, handle), Err(Error::KeyHandleInvalid(handle)));
        let invalid = Error::ObjectHandleInvalid(handle);
        assert_eq!(module.destroy_object(other, handle), Err(invalid.clone()));
        assert_eq!(module.set_attributes(other, handle, &[]), Err(invalid.clone()));
        assert_eq!(module.object_size(other, handle).unwrap_err(), invalid);
        assert!(module.copy_object(other, handle, &[]).is_err());
        assert_signs(&module, session, handle);
    }
    assert!(found(&module, other, &[]).is_empty());
}

#[test]
fn session_objects_die_with_the_session_that_made_them() {
    let module = ready();
    let (one, two) = (user_session(&module), module.open_session(SLOT, true).unwrap());
    let of_one = [key(&module, one, &[]), key(&module, one, &[PUBLIC])];
    let of_two = public_key(&module, two);
    assert_signs(&module, two, of_one[0]);
    module.close_session(one).unwrap();
    assert!(of_one.iter().all(|object| gone(&module, two, *object)));
    assert_eq!(found(&module, two, &[]), [of_two]);
}

#[test]
fn a_read_only_session_makes_and_changes_session_objects_only() {
    let module = ready();
    let session = user_session(&module);
    let kept = token_key(&module, session);
    let read_only = module.open_session(SLOT, false).unwrap();
    let refused = Error::SessionReadOnly;
    assert_eq!(try_key(&module, read_only, &[TOKEN]).unwrap_err(), refused);
    let label = [(A::Label, &b"new"[..])];
    let label = raw(&label);
    assert_eq!(module.set_attributes(read_only, kept, &label), Err(refused.clone()));
    assert_eq!(module.destroy_object(read_only, kept), Err(refused.clone()));
    assert_eq!(module.copy_object(read_only, kept, &[]).unwrap_err(), refused);
    let own = key(&module, read_only, &[]);
    module.set_attributes(read_only, own, &label).unwrap();
    assert_eq!(read(&module, read_only, own, A::Label).unwrap(), b"new");
    let copy = module.copy_object(read_only, kept, &raw(&[(A::Token, FALSE)])).unwrap();
    assert_signs(&module, read_only, copy);
    module.destroy_object(read_only, own).unwrap();
    assert_signs(&module, read_only, kept);
}

#[test]
fn without_a_login_nothing_private_and_no_token_key_is_made() {
    let module = ready();
    let session = module.open_session(SLOT, true).unwrap();
    for template in [&[][..], &[TOKEN], &[TOKEN, PUBLIC]] {
        let refused = try_key(&module, session, template);
        assert_eq!(refused.unwrap_err(), Error::UserNotLoggedIn, "{template:?}");
    }
    let private = data(&module, session, &[(A::Private, TRUE)]);
    assert_eq!(private.unwrap_err(), Error::UserNotLoggedIn);
    let key = key(&module, session, &[PUBLIC]);
    assert_signs(&module, session, key);
    data(&module, session, &[TOKEN]).unwrap();
}

#[test]
fn a_public_token_key_is_seen_without_a_login_and_not_used() {
    let module = ready();
    let session = user_session(&module);
    let key =
        key(&module, session, &[TOKEN, PUBLIC, (A::Sensitive, FALSE), (A::Extractable, TRUE)]);
    assert_eq!(read(&module, session, key, A::Value).unwrap(), b"Jefe");
    assert_signs(&module, session, key);
    module.logout(session).unwrap();
    assert_eq!(found(&module, session, &[]), [key]);
    assert_eq!(read(&module, session, key, A::ValueLen).unwrap(), ck(4));
    let value = read(&module, session, key, A::Value);
    assert_eq!(value, Err(Error::AttributeSensitive(A::Value)));
    let refused = Err(Error::UserNotLoggedIn);
    assert_eq!(sign_init(&module, session, key), refused);
    assert_eq!(module.set_attributes(session, key, &raw(&[(A::Label, b"x")])), refused);
    assert_eq!(module.destroy_object(session, key), refused);
    assert_eq!(module.copy_object(session, key, &[]).unwrap_err(), Error::UserNotLoggedIn);
    module.digest_init(session, mechanism(MechanismType::Sha256)).unwrap();
    assert_eq!(module.digest_key(session, key), refused);
    module.login(session, USER, &pin(USER_PIN)).unwrap();
    assert_eq!(read(&module, session, key, A::Value).unwrap(), b"Jefe");
    assert_signs(&module, session, key);
}

#[test]
fn what_a_login_opened_is_let_go_at_logout() {
    let module = ready();
    let session = user_session(&module);
    let key = key(&module, session, &[TOKEN, PUBLIC]);
    assert_signs(&module, session, key);
    let opened = {
        let session = module.session(session).unwrap();
        let opened =
            module.object(&session, session.principal(), key, Error::KeyHandleInvalid).unwrap();
        Arc::downgrade(opened.as_ref().unwrap())
    };
    assert!(opened.upgrade().is_some());
    module.logout(session).unwrap();
    assert!(opened.upgrade().is_none(), "value and prepared states are gone");
}

#[test]
fn the_so_trusts_keys_and_uses_none() {
    let module = ready();
    let session = user_session(&module);
    let trusted = [(A::Trusted, TRUE)];
    let refused = Error::AttributeReadOnly(A::Trusted);
    assert_eq!(try_key(&module, session, &trusted).unwrap_err(), refused);
    let length = ck(32);
    let template = [(A::ValueLen, &length[..]), (A::Trusted, TRUE)];
    let template = raw(&template);
    let made =
        module.generate_key(session, mechanism(MechanismType::GenericSecretKeyGen), &template);
    assert_eq!(made.unwrap_err(), refused);
    let key = key(&module, session, &[TOKEN, PUBLIC]);
    assert_eq!(module.set_attributes(session, key, &raw(&trusted)), Err(refused));
    module.logout(session).unwrap();
    module.login(session, SO, &pin(SO_PIN)).unwrap();
    module.set_attributes(session, key, &raw(&trusted)).unwrap();
    assert_eq!(read(&module, session, key, A::Trusted).unwrap(), TRUE);
    assert_eq!(sign_init(&module, session, key), Err(Error::UserNotLoggedIn));
    assert_eq!(module.destroy_object(session, key), Err(Error::UserNotLoggedIn));
    module.logout(session).unwrap();
    module.login(session, USER, &pin(USER_PIN)).unwrap();
    assert_eq!(read(&module, session, key, A::Trusted).unwrap(), TRUE);
    assert_signs(&module, session, key);
}

#[test]
fn searches_find_session_and_token_objects_and_give_them_in_portions() {
    let module = ready();
    let session = user_session(&module);
    let label: &[(A, &[u8])] = &[(A::Label, b"wanted")];
    let mut wanted: Vec<_> = [&[TOKEN][..], &[TOKEN, PUBLIC], &[PUBLIC], &[]]
        .iter()
        .map(|more| key(&module, session, &[label, more].concat()))
        .collect();
    key(&module, session, &[]);
    wanted.sort();
    assert_eq!(found(&module, session, label), wanted);
    assert_eq!(found(&module, session, &[label[0], TOKEN]).len(), 2);
    assert_eq!(found(&module, session, &[label[0], (A::Token, FALSE)]).len(), 2);

    module.find_objects_init(session, &raw(label)).unwrap();
    assert_eq!(module.find_objects_init(session, &[]), Err(Error::OperationActive));
    let mut portions: Vec<_> =
        [0, 1, 2, 9, 9].map(|limit| module.find_objects(session, limit).unwrap()).to_vec();
    let lengths: Vec<_> = portions.iter().map(Vec::len).collect();
    assert_eq!(lengths, [0, 1, 2, 1, 0]);
    let mut all: Vec<_> = portions.drain(..).flatten().collect();
    all.sort();
    assert_eq!(all, wanted);
    module.find_objects_final(session).unwrap();
    let over = module.find_objects(session, 1);
    assert_eq!(over.unwrap_err(), Error::OperationNotInitialized);
    assert_eq!(module.find_objects_final(session), Err(Error::OperationNotInitialized));
}

#[test]
fn a_refused_search_template_begins_no_search() {
    let module = ready();
    let session = module.open_session(SLOT, false).unwrap();
    let refused = module.find_objects_init(session, &raw(&[(A::Token, &[1, 1])]));
    assert_eq!(refused, Err(Error::AttributeValueInvalid(A::Token)));
    module.find_objects_init(session, &[]).unwrap();
}

#[test]
fn changes_happen_all_or_none_for_session_and_token_objects() {
    let module = ready();
    let session = user_session(&module);
    for more in [&[TOKEN][..], &[]] {
        let key = key(&module, session, more);
        let both = [(A::Label, &b"new"[..]), (A::Class, &[0; 8])];
        let both = raw(&both);
        let refused = module.set_attributes(session, key, &both);
        assert_eq!(refused, Err(Error::AttributeReadOnly(A::Class)));
        assert_eq!(read(&module, session, key, A::Label).unwrap(), b"");
        module
            .set_attributes(session, key, &raw(&[(A::Label, b"new"), (A::Verify, FALSE)]))
            .unwrap();
        assert_eq!(read(&module, session, key, A::Label).unwrap(), b"new");
        assert_eq!(read(&module, session, key, A::Verify).unwrap(), FALSE);
        assert_eq!(found(&module, session, &[(A::Label, b"new")]), [key], "under the new label");
        module.destroy_object(session, key).unwrap();
    }
}

#[test]
fn what_may_not_be_changed_copied_or_destroyed_is_not() {
    let module = ready();
    let session = user_session(&module);
    for home in [TRUE, FALSE] {
        let fixed = [
            (A::Token, home),
            (A::Modifiable, FALSE),
            (A::Copyable, FALSE),
            (A::Destroyable, FALSE),
        ];
        let key = key(&module, session, &fixed);
        let prohibited = |result: Result<()>| matches!(result, Err(Error::ActionProhibited(_)));
        assert!(prohibited(module.set_attributes(session, key, &raw(&[(A::Label, b"x")]))));
        assert!(prohibited(module.copy_object(session, key, &[]).map(|_| ())));
        assert!(prohibited(module.destroy_object(session, key)));
        assert_signs(&module, session, key);
    }
}

#[test]
fn a_copy_is_another_object_with_the_same_value() {
    let module = ready();
    let session = user_session(&module);
    let key = key(&module, session, &[TOKEN, PUBLIC, (A::Label, b"first")]);
    let template = [(A::Label, &b"second"[..]), (A::Token, FALSE), (A::Private, TRUE)];
    let copy = module.copy_object(session, key, &raw(&template)).unwrap();
    assert_ne!(copy, key);
    assert_signs(&module, session, copy);
    assert_eq!(read(&module, session, copy, A::Label).unwrap(), b"second");
    assert_ne!(
        read(&module, session, copy, A::UniqueId).unwrap(),
        read(&module, session, key, A::UniqueId).unwrap()
    );
    let back = module.copy_object(session, copy, &raw(&[PUBLIC]));
    assert_eq!(back.unwrap_err(), Error::AttributeReadOnly(A::Private));
    module.destroy_object(session, key).unwrap();
    assert_signs(&module, session, copy);
}

#[test]
fn each_attribute_asked_for_has_its_own_answer() {
    let module = ready();
    let session = user_session(&module);
    let key = token_key(&module, session);
    let unknown = 0x8000_1234;
    let wanted = [A::Label.to_ck(), A::Value.to_ck(), unknown, A::ValueLen.to_ck()];
    let answers = module.attributes(session, key, &wanted).unwrap();
    assert_eq!(**answers[0].as_ref().unwrap(), *b"");
    assert_eq!(answers[1], Err(Error::AttributeSensitive(A::Value)));
    assert_eq!(answers[2], Err(Error::AttributeTypeInvalid(unknown)));
    assert_eq!(**answers[3].as_ref().unwrap(), ck(4));
    assert!(module.object_size(session, key).unwrap() > 4);
}
