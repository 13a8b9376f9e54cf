use super::*;
use crate::mechanism::Hash;
use crate::mechanism::hmac::Hmac;
use crate::object::query::Query;
use crate::types::ObjectHandle;

const KEY: ObjectHandle = ObjectHandle(1);
const BIG: Room = Room::Bytes(64);

fn mac() -> MacOperation {
    MacOperation::new(Hmac::new(Hash::Sha256, b"key"), 32, KEY, true)
}

fn signing() -> State {
    let mut state = State::default();
    state.begin(Operation::Sign(mac()));
    state
}

fn bytes(output: Output) -> Vec<u8> {
    match output {
        Output::Bytes(tag) => tag.expose().to_vec(),
        Output::Length(length) => panic!("only the length {length}"),
    }
}

fn tag(data: &[u8]) -> Vec<u8> {
    bytes(signing().sign(data, BIG).unwrap())
}

#[test]
fn parts_and_whole_give_the_same_mac() {
    let mut state = signing();
    state.mac_update(Purpose::Sign, b"mess").unwrap();
    state.mac_update(Purpose::Sign, b"age").unwrap();
    assert_eq!(bytes(state.sign_final(BIG).unwrap()), tag(b"message"));
}

#[test]
fn a_length_query_and_a_small_buffer_do_not_end_the_operation() {
    let mut state = signing();
    assert!(matches!(state.sign(b"message", Room::Query), Ok(Output::Length(32))));
    let error = state.sign(b"message", Room::Bytes(31)).unwrap_err();
    assert_eq!(error, Error::BufferTooSmall(32));
    assert_eq!(bytes(state.sign(b"message", BIG).unwrap()), tag(b"message"));
    assert_eq!(state.sign(b"", BIG).unwrap_err(), Error::OperationNotInitialized);
}

#[test]
fn a_whole_message_call_after_a_part_is_refused_and_ends_the_operation() {
    let mut state = signing();
    state.mac_update(Purpose::Sign, b"part").unwrap();
    assert_eq!(state.sign(b"rest", BIG).unwrap_err(), Error::OperationActive);
    assert_eq!(state.sign_final(BIG).unwrap_err(), Error::OperationNotInitialized);

    let mut state = State::default();
    state.digest_init(Digest::new(Hash::Sha256)).unwrap();
    state.digest_update(b"part").unwrap();
    assert_eq!(state.digest(b"rest", BIG).unwrap_err(), Error::OperationActive);
    assert_eq!(state.digest_final(BIG).unwrap_err(), Error::OperationNotInitialized);
}

#[test]
fn verification_ends_the_operation_whatever_comes_out() {
    let right = tag(b"message");
    let mut wrong = right.clone();
    wrong[0] ^= 1;
    for (claimed, expected) in [
        (&right[..], Ok(())),
        (&wrong, Err(Error::SignatureInvalid)),
        (&right[..31], Err(Error::SignatureLenRange)),
        (&[], Err(Error::SignatureLenRange)),
    ] {
        let mut state = State::default();
        state.begin(Operation::Verify(mac()));
        assert_eq!(state.verify(b"message", claimed), expected);
        assert_eq!(state.verify(b"", claimed), Err(Error::OperationNotInitialized));

        let mut state = State::default();
        state.begin(Operation::VerifySignature(mac(), claimed.to_vec()));
        state.mac_update(Purpose::VerifySignature, b"mess").unwrap();
        state.mac_update(Purpose::VerifySignature, b"age").unwrap();
        assert_eq!(state.verify_signature_final(), expected);
    }
}

#[test]
fn an_operation_answers_to_its_own_functions_only() {
    let mut state = signing();
    assert_eq!(state.verify(b"", b""), Err(Error::OperationNotInitialized));
    let not_begun = state.mac_update(Purpose::Verify, b"");
    assert_eq!(not_begun, Err(Error::OperationNotInitialized));
    assert!(state.sign(b"message", BIG).is_ok());
}

#[test]
fn what_may_be_under_way_together() {
    let mut state = signing();
    assert_eq!(state.may_begin(), Err(Error::OperationActive));
    assert_eq!(state.may_search(), Err(Error::OperationActive));
    assert!(state.digest_init(Digest::new(Hash::Sha256)).is_ok());
    let again = state.digest_init(Digest::new(Hash::Sha256));
    assert_eq!(again, Err(Error::OperationActive));
    state.cancel(Cancel::Mac(Purpose::Sign));
    state.cancel(Cancel::Digest);
    state.search_init(Search::new(crate::token::Search::new(Query::default())));
    assert_eq!(state.may_begin(), Err(Error::OperationActive));
    assert!(state.search().is_ok());
    state.search_final().unwrap();
    assert_eq!(state.search_final(), Err(Error::OperationNotInitialized));
    assert_eq!(state.search().unwrap_err(), Error::OperationNotInitialized);
    assert!(state.may_begin().is_ok());
}

#[test]
fn either_way_of_verifying_is_ended_alone() {
    let mut state = State::default();
    let Some(Operation::Sign(mac)) = signing().operation else { panic!("no MAC") };
    state.begin(Operation::VerifySignature(mac, Vec::new()));
    state.cancel(Cancel::Mac(Purpose::Verify));
    assert_eq!(state.may_begin(), Err(Error::OperationActive));
    for cancel in Cancel::VERIFY {
        state.cancel(*cancel);
    }
    assert!(state.may_begin().is_ok());
}

#[test]
fn operations_can_be_ended_by_key_and_by_login() {
    let mut state = signing();
    state.end_if(|mac| mac.key() == ObjectHandle(2));
    assert_eq!(state.may_begin(), Err(Error::OperationActive));
    state.end_if(MacOperation::needs_login);
    assert!(state.may_begin().is_ok());
}
