//! Keys: generated, used, refused.

use super::*;
use crate::module::prepared::PreparedKey;
use crate::policy::Principal;
use crate::types::AttributeType as A;

const TOKEN: (A, &[u8]) = (A::Token, TRUE);
const PUBLIC: (A, &[u8]) = (A::Private, FALSE);
const SHA256: MechanismType = MechanismType::Sha256;

fn generate(
    module: &Module,
    session: SessionHandle,
    by: MechanismType,
    length: Ulong,
) -> Result<ObjectHandle> {
    let length = ck(length);
    module.generate_key(session, mechanism(by), &raw(&[(A::ValueLen, &length)]))
}

#[test]
fn macs_are_made_and_verified_whole_and_in_parts() {
    let module = ready();
    let session = user_session(&module);
    for more in [&[TOKEN][..], &[TOKEN, PUBLIC], &[PUBLIC], &[]] {
        let key = key(&module, session, more);
        assert_signs(&module, session, key);
        sign_init(&module, session, key).unwrap();
        for part in QUESTION.chunks(5) {
            module.mac_update(session, Purpose::Sign, part).unwrap();
        }
        let mac = bytes(module.sign_final(session, ROOM).unwrap());
        assert_eq!(hex(&mac), JEFE);

        let init = |signing| module.mac_init(session, signing, mechanism(HMAC), key).unwrap();
        init(Signing::Verify);
        assert_eq!(module.verify(session, QUESTION, &mac), Ok(()));
        init(Signing::Verify);
        module.mac_update(session, Purpose::Verify, QUESTION).unwrap();
        assert_eq!(module.verify_final(session, &mac), Ok(()));
        init(Signing::VerifySignature(&mac));
        assert_eq!(module.verify_signature(session, QUESTION), Ok(()));
        init(Signing::VerifySignature(&mac));
        module.mac_update(session, Purpose::VerifySignature, QUESTION).unwrap();
        assert_eq!(module.verify_signature_final(session), Ok(()));
        init(Signing::Verify);
        assert_eq!(module.verify(session, b"another", &mac), Err(Error::SignatureInvalid));
        init(Signing::Verify);
        assert_eq!(module.verify(session, QUESTION, b"short"), Err(Error::SignatureLenRange));
    }
}

#[test]
fn a_general_mac_is_cut_and_one_that_comes_first_has_its_length() {
    let module = ready();
    let session = user_session(&module);
    let key = public_key(&module, session);
    let length = ck(16);
    let number = MechanismType::Sha256HmacGeneral.to_ck();
    let general = RawMechanism { number, parameter: &length };
    module.mac_init(session, Signing::Sign, general, key).unwrap();
    assert_eq!(hex(&finish(&module, session, QUESTION).unwrap()), JEFE[..32]);
    let too_long = Signing::VerifySignature(&[0; 32]);
    let refused = module.mac_init(session, too_long, general, key);
    assert_eq!(refused, Err(Error::SignatureLenRange));
    let wrong = RawMechanism { number, parameter: &[] };
    let refused = module.mac_init(session, Signing::Sign, wrong, key);
    assert_eq!(refused, Err(Error::MechanismParamInvalid));
    assert_signs(&module, session, key);
}

#[test]
fn generated_keys_differ_and_are_what_their_mechanism_makes() {
    let module = ready();
    let session = user_session(&module);
    let kind = |key| read(&module, session, key, A::KeyType).unwrap();
    let generic = generate(&module, session, MechanismType::GenericSecretKeyGen, 32).unwrap();
    let typed = generate(&module, session, MechanismType::Sha256KeyGen, 32).unwrap();
    assert_eq!(kind(generic), ck(KeyType::GenericSecret.to_ck()));
    assert_eq!(kind(typed), ck(KeyType::Sha256Hmac.to_ck()));
    for key in [generic, typed] {
        for flag in [A::Sensitive, A::Local, A::AlwaysSensitive, A::NeverExtractable] {
            assert_eq!(read(&module, session, key, flag).unwrap(), TRUE, "{flag}");
        }
        assert_eq!(read(&module, session, key, A::ValueLen).unwrap(), ck(32));
    }
    let mac = |key| sign(&module, session, key, b"message").unwrap();
    assert_ne!(mac(generic), mac(typed));
}

#[test]
fn a_length_out_of_range_makes_no_key() {
    let module = ready();
    let session = user_session(&module);
    for length in [0, 13, 513, 1 << 31, Ulong::MAX] {
        for by in [MechanismType::GenericSecretKeyGen, MechanismType::Sha512KeyGen] {
            let refused = generate(&module, session, by, length);
            assert_eq!(refused.unwrap_err(), Error::AttributeValueInvalid(A::ValueLen));
        }
    }
    for length in [14, 512] {
        generate(&module, session, MechanismType::Sha512KeyGen, length).unwrap();
    }
    assert_eq!(found(&module, session, &[]).len(), 2);
}

#[test]
fn only_a_key_generator_generates() {
    let module = ready();
    let session = user_session(&module);
    let refused = generate(&module, session, HMAC, 32);
    assert_eq!(refused.unwrap_err(), Error::MechanismInvalid(HMAC.to_ck()));
    let generator = MechanismType::GenericSecretKeyGen;
    let with_parameter = RawMechanism { number: generator.to_ck(), parameter: &[0] };
    let length = ck(32);
    let refused = module.generate_key(session, with_parameter, &raw(&[(A::ValueLen, &length)]));
    assert_eq!(refused.unwrap_err(), Error::MechanismParamInvalid);
}

#[test]
fn a_key_is_used_for_what_it_may_be_used_for() {
    let module = ready();
    let session = user_session(&module);
    let verifying = key(&module, session, &[(A::Sign, FALSE)]);
    let signing = key(&module, session, &[(A::Verify, FALSE)]);
    let init = |signing, key| module.mac_init(session, signing, mechanism(HMAC), key);
    let refused = Err(Error::KeyFunctionNotPermitted);
    let mac = sign(&module, session, signing, b"message").unwrap();
    assert_eq!(init(Signing::Sign, verifying), refused);
    assert_eq!(init(Signing::Verify, signing), refused);
    assert_eq!(init(Signing::VerifySignature(&mac), signing), refused);
    init(Signing::Verify, verifying).unwrap();
    module.verify(session, b"message", &mac).unwrap();
    module.set_attributes(session, signing, &raw(&[(A::Sign, FALSE)])).unwrap();
    assert_eq!(init(Signing::Sign, signing), refused, "from the next use on");
}

#[test]
fn a_typed_key_serves_its_own_hash_and_a_generic_one_every_hash() {
    let module = ready();
    let session = user_session(&module);
    let kind = ck(KeyType::Sha256Hmac.to_ck());
    let typed = key(&module, session, &[(A::KeyType, &kind)]);
    let generic = public_key(&module, session);
    let init = |by, key| module.mac_init(session, Signing::Sign, mechanism(by), key);
    for row in module.mechanisms().filter(|row| matches!(row.kind, mechanism::Kind::Hmac(_))) {
        init(row.mechanism, generic).unwrap();
        finish(&module, session, b"").unwrap();
        let with_typed = init(row.mechanism, typed);
        if row.mechanism == HMAC {
            with_typed.unwrap();
            finish(&module, session, b"").unwrap();
        } else {
            assert_eq!(with_typed, Err(Error::KeyTypeInconsistent));
        }
    }
}

#[test]
fn allowed_mechanisms_are_enforced_and_an_empty_list_allows_all() {
    let module = ready();
    let session = user_session(&module);
    let list = ck(MechanismType::Sha512Hmac.to_ck());
    let narrow = key(&module, session, &[(A::AllowedMechanisms, &list)]);
    assert_eq!(sign_init(&module, session, narrow), Err(Error::MechanismInvalid(HMAC.to_ck())));
    let sha512 = mechanism(MechanismType::Sha512Hmac);
    module.mac_init(session, Signing::Sign, sha512, narrow).unwrap();
    finish(&module, session, b"").unwrap();
    let wider = module.set_attributes(session, narrow, &raw(&[(A::AllowedMechanisms, &[])]));
    assert_eq!(wider, Err(Error::AttributeReadOnly(A::AllowedMechanisms)));
    assert_signs(&module, session, key(&module, session, &[(A::AllowedMechanisms, &[])]));
}

#[test]
fn what_is_no_key_is_not_used_as_one() {
    let module = ready();
    let session = user_session(&module);
    let class = ck(ObjectClass::Data.to_ck());
    let data = module.create_object(session, &raw(&[(A::Class, &class)])).unwrap();
    for handle in [data, ObjectHandle(0), ObjectHandle(12345), ObjectHandle(Ulong::MAX)] {
        assert_eq!(sign_init(&module, session, handle), Err(Error::KeyHandleInvalid(handle)));
    }
    module.digest_init(session, mechanism(SHA256)).unwrap();
    assert_eq!(module.digest_key(session, data), Err(Error::KeyHandleInvalid(data)));
}

#[test]
fn logout_ends_the_operations_that_needed_the_login() {
    let module = ready();
    let session = user_session(&module);
    let other = module.open_session(SLOT, false).unwrap();
    for (more, ends) in
        [(&[TOKEN][..], true), (&[TOKEN, PUBLIC], true), (&[], true), (&[PUBLIC], false)]
    {
        let key = key(&module, session, more);
        for session in [session, other] {
            sign_init(&module, session, key).unwrap();
            module.mac_update(session, Purpose::Sign, QUESTION).unwrap();
        }
        module.logout(session).unwrap();
        for session in [session, other] {
            match module.sign_final(session, ROOM) {
                Ok(mac) => assert!(!ends && hex(&bytes(mac)) == JEFE, "{more:?}"),
                Err(error) => {
                    assert!(ends && error == Error::OperationNotInitialized, "{more:?}");
                }
            }
        }
        module.login(session, USER, &pin(USER_PIN)).unwrap();
    }
}

#[test]
fn destroying_a_key_ends_its_operations_in_every_session() {
    let module = ready();
    let session = user_session(&module);
    let other = module.open_session(SLOT, true).unwrap();
    for more in [&[TOKEN][..], &[PUBLIC]] {
        let (doomed, kept) = (key(&module, session, more), key(&module, session, more));
        sign_init(&module, session, doomed).unwrap();
        sign_init(&module, other, kept).unwrap();
        module.destroy_object(other, doomed).unwrap();
        let over = finish(&module, session, b"");
        assert_eq!(over, Err(Error::OperationNotInitialized));
        assert_eq!(hex(&finish(&module, other, QUESTION).unwrap()), JEFE);
    }
}

#[test]
fn closing_a_session_ends_the_operations_with_its_keys() {
    let module = ready();
    let (one, two) = (user_session(&module), module.open_session(SLOT, false).unwrap());
    let key = public_key(&module, one);
    sign_init(&module, two, key).unwrap();
    module.close_session(one).unwrap();
    assert_eq!(finish(&module, two, b""), Err(Error::OperationNotInitialized));
}

#[test]
fn a_key_that_may_be_read_may_be_digested_and_no_other() {
    let module = ready();
    let session = user_session(&module);
    let readable = key(&module, session, &[(A::Sensitive, FALSE), (A::Extractable, TRUE)]);
    let sensitive = key(&module, session, &[(A::Extractable, TRUE)]);
    let kept = key(&module, session, &[(A::Sensitive, FALSE)]);
    assert_eq!(module.digest_key(session, readable), Err(Error::OperationNotInitialized));
    let digest = |data: &[u8]| {
        module.digest_init(session, mechanism(SHA256)).unwrap();
        bytes(module.digest(session, data, ROOM).unwrap())
    };
    let expected = digest(b"a key: Jefe.");
    module.digest_init(session, mechanism(SHA256)).unwrap();
    module.digest_update(session, b"a key: ").unwrap();
    for secret in [sensitive, kept] {
        assert_eq!(module.digest_key(session, secret), Err(Error::KeyIndigestible));
    }
    module.digest_key(session, readable).unwrap();
    module.digest_update(session, b".").unwrap();
    assert_eq!(bytes(module.digest_final(session, ROOM).unwrap()), expected);
}

#[test]
fn more_keys_than_are_kept_open_all_work() {
    let module = ready_keeping(3);
    let session = user_session(&module);
    let keys: Vec<_> = (0..10).map(|_| token_key(&module, session)).collect();
    let mut opened = Vec::new();
    for _ in 0..2 {
        for key in &keys {
            assert_signs(&module, session, *key);
            opened.push(Arc::downgrade(&open(&module, session, *key)));
        }
    }
    assert_eq!(opened.iter().filter(|key| key.strong_count() > 0).count(), 3);
    sign_init(&module, session, keys[0]).unwrap();
    for key in &keys[1..] {
        read(&module, session, *key, A::Label).unwrap();
    }
    assert_eq!(hex(&finish(&module, session, QUESTION).unwrap()), JEFE, "its states are its own");
    assert_signs(&module, session, keys[0]);
}

/// The object behind a handle, opened if it is not.
fn open(module: &Module, session: SessionHandle, key: ObjectHandle) -> Arc<PreparedKey> {
    let session = module.session(session).unwrap();
    let opened = module.object(&session, Principal::Owner, key, Error::KeyHandleInvalid);
    arc_swap::Guard::into_inner(opened.unwrap()).unwrap()
}

#[test]
fn a_key_that_is_in_use_stays_open_while_all_others_are_looked_at() {
    let module = ready_keeping(4);
    let session = user_session(&module);
    let used = token_key(&module, session);
    let others: Vec<_> = (0..50).map(|_| token_key(&module, session)).collect();
    let opened = open(&module, session, used);
    for key in others {
        assert_signs(&module, session, used);
        assert_signs(&module, session, key);
    }
    assert!(Arc::ptr_eq(&opened, &open(&module, session, used)), "it was opened again");
}

/// However many are in use all the time, one of them makes room.
#[test]
fn no_more_keys_are_kept_open_than_may_be_even_if_all_are_in_use() {
    let module = ready_keeping(40);
    let session = user_session(&module);
    let keys: Vec<_> = (0..60).map(|_| token_key(&module, session)).collect();
    let mut opened = Vec::new();
    for round in 0..21 {
        for key in keys.iter().skip(round % 20).take(40) {
            assert_signs(&module, session, *key);
            opened.push(Arc::downgrade(&open(&module, session, *key)));
        }
        opened.retain(|key| key.strong_count() > 0);
        opened.sort_by_key(std::sync::Weak::as_ptr);
        opened.dedup_by_key(|key| key.as_ptr());
        assert!(opened.len() <= 40, "{} in round {round}", opened.len());
    }
}

/// Opening it over and over takes one place among the open ones, not all of them.
#[test]
fn a_key_that_was_opened_many_times_stays_open() {
    let module = ready_keeping(3);
    let session = user_session(&module);
    let key = token_key(&module, session);
    for round in 0..10 {
        let label = format!("{round}");
        module.set_attributes(session, key, &raw(&[(A::Label, label.as_bytes())])).unwrap();
        assert_signs(&module, session, key);
    }
    for _ in 0..4 {
        let opened = || open(&module, session, key);
        assert!(Arc::ptr_eq(&opened(), &opened()), "it is opened anew each time");
    }
}

#[test]
fn a_key_that_is_opened_again_when_there_is_no_room_still_works() {
    let module = ready_keeping(1);
    let session = user_session(&module);
    let key = token_key(&module, session);
    for label in [b"one", b"two"] {
        module.set_attributes(session, key, &raw(&[(A::Label, label)])).unwrap();
        assert_signs(&module, session, key);
    }
}

#[test]
fn random_bytes_come_in_every_length() {
    let module = ready();
    let session = module.open_session(SLOT, false).unwrap();
    module.seed_random(session, b"").unwrap();
    module.seed_random(session, &[7; 10_000]).unwrap();
    let (mut one, mut two) = ([0; 40], [0; 40]);
    module.generate_random(session, &mut one).unwrap();
    module.generate_random(session, &mut two).unwrap();
    assert_ne!(one, two);
    module.generate_random(session, &mut []).unwrap();
}
