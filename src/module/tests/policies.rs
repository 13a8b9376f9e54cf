//! What policies leave a named user.

use super::*;
use crate::clock::Clock;
use crate::policy::Principal;
use crate::session::Cancel;
use crate::store::{DirectoryPlace, Place};
use crate::token::{Identity, Name, Token};
use crate::types::AttributeType as A;
use tempfile::TempDir;

pub(super) const OWNER: Principal = Principal::Owner;
pub(super) const BOB: &str = "arn:aws:iam::000000000000:user/Bob";
pub(super) const ROOT: &str = "arn:aws:iam::000000000000:root";
pub(super) const BOB_PIN: &[u8] = b"bob-pin-4116";
pub(super) const DAY: Duration = Duration::from_secs(86_400);
/// What lets everybody read a key's value whom its policy lets.
const READABLE: [(A, &[u8]); 2] = [(A::Sensitive, FALSE), (A::Extractable, TRUE)];

/// The owner's application, and one that Bob is to log in to; one clock.
pub(super) struct Two {
    pub clock: Arc<ManualClock>,
    pub owner: Module,
    pub owner_session: SessionHandle,
    pub token: Arc<Token>,
    pub bob: Module,
    pub session: SessionHandle,
    /// Kept until the end.
    _directory: Option<TempDir>,
}

impl Two {
    fn new() -> Self {
        let place: Arc<dyn Place> = place();
        Self::over(None, || Arc::clone(&place))
    }

    /// Over files, and nothing else in common, as two processes are.
    pub fn in_directory() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        Self::over(Some(directory), || Arc::new(DirectoryPlace::new(&path, Arc::new(OsEntropy))))
    }

    fn over(directory: Option<TempDir>, place: impl Fn() -> Arc<dyn Place>) -> Self {
        let clock = Arc::new(ManualClock::new(UNIX_EPOCH + 20_000 * DAY));
        let application = || {
            let clock: Arc<dyn Clock> = clock.clone();
            let surroundings =
                Surroundings { entropy: Arc::new(OsEntropy), clock, log: Arc::new(NoLog) };
            Module::new(place(), surroundings, &config()).unwrap()
        };
        let owner = application();
        owner.create_token(SLOT, "token", &pin(SO_PIN), Some(&pin(USER_PIN))).unwrap();
        let bob = application();
        let owner_session = user_session(&owner);
        let (token, _) = owner.token_of(owner_session).unwrap();
        for name in ["Bob", "Alice"] {
            token.add_user(OWNER, &Name::new(name).unwrap(), &pin(BOB_PIN)).unwrap();
        }
        let session = bob.open_session(SLOT, true).unwrap();
        Self { clock, owner, owner_session, token, bob, session, _directory: directory }
    }

    /// Bob is logged in, and may do this to every key.
    fn may(actions: &[&str]) -> Self {
        let two = Self::new();
        two.let_bob("allowed", actions);
        two.log_in("Bob");
        two
    }

    pub fn log_in(&self, name: &str) {
        self.bob.login_user(self.session, USER, name, &pin(BOB_PIN)).unwrap();
    }

    /// Gives Bob a policy of this name.
    pub fn let_bob(&self, name: &str, actions: &[&str]) {
        self.put_policy(name, &allow(actions, ""));
    }

    pub fn put_policy(&self, name: &str, policy: &str) {
        self.token.put_identity_policy(OWNER, &user("Bob"), name, policy).unwrap();
    }

    pub fn take_policy(&self, name: &str) {
        self.token.delete_identity_policy(OWNER, &user("Bob"), name).unwrap();
    }

    /// A token key of the owner's with the value "Jefe"; its unique id.
    pub fn key(&self, more: &[(A, &[u8])]) -> String {
        let made = key(&self.owner, self.owner_session, &[&[(A::Token, TRUE)], more].concat());
        let id = read(&self.owner, self.owner_session, made, A::UniqueId).unwrap();
        String::from_utf8(id).unwrap()
    }

    /// Its handle in Bob's application.
    #[track_caller]
    pub fn found(&self, id: &str) -> ObjectHandle {
        let found = found(&self.bob, self.session, &[(A::UniqueId, id.as_bytes())]);
        let [handle] = found[..] else { panic!("{found:?}") };
        handle
    }

    pub fn put_key_policy(&self, id: &str, statements: &[(&str, &str, &str)]) {
        let policy = key_policy(statements);
        self.token.put_key_policy(OWNER, id, &policy, false).unwrap();
    }

    /// What comes of beginning to make a MAC.
    pub fn sign_init(&self, handle: ObjectHandle) -> Result<()> {
        let begun = sign_init(&self.bob, self.session, handle);
        if begun.is_ok() {
            self.bob.session_cancel(self.session, Cancel::SIGN).unwrap();
        }
        begun
    }

    #[track_caller]
    pub fn assert_signs(&self, handle: ObjectHandle) {
        assert_signs(&self.bob, self.session, handle);
    }
}

pub(super) fn user(name: &str) -> Identity {
    Identity::User(Name::new(name).unwrap())
}

/// A user's policy that allows this to every key, under a condition or none.
pub(super) fn allow(actions: &[&str], condition: &str) -> String {
    let condition = match condition {
        "" => String::new(),
        condition => format!(r#","Condition":{{{condition}}}"#),
    };
    format!(
        r#"{{"Statement":{{"Effect":"Allow","Action":{actions:?},"Resource":"*"{condition}}}}}"#
    )
}

/// A key policy of statements of effect, principal and action.
fn key_policy(statements: &[(&str, &str, &str)]) -> String {
    let statements: Vec<_> = statements
        .iter()
        .map(|(effect, who, what)| {
            format!(
                r#"{{"Effect":"{effect}","Principal":{{"AWS":"{who}"}},"Action":"{what}","Resource":"*"}}"#
            )
        })
        .collect();
    format!(r#"{{"Statement":[{}]}}"#, statements.join(","))
}

#[track_caller]
pub(super) fn assert_refused<T: std::fmt::Debug>(answer: Result<T>) {
    assert!(matches!(answer, Err(Error::AccessDenied(_))), "{answer:?}");
}

#[test]
fn who_may_make_no_token_object_makes_none_by_copying_one_of_the_session_either() {
    let two = Two::may(&["signet:CopyKey"]);
    assert_refused(try_key(&two.bob, two.session, &[(A::Token, TRUE)]));
    let own = key(&two.bob, two.session, &[]);
    let into_the_token = raw(&[(A::Token, TRUE)]);
    assert_refused(two.bob.copy_object(two.session, own, &into_the_token));
    two.bob.copy_object(two.session, own, &[]).unwrap();
    two.let_bob("import", &["signet:ImportObject"]);
    two.bob.copy_object(two.session, own, &into_the_token).unwrap();
}

#[test]
fn who_may_copy_one_key_copies_it_into_the_session_and_into_the_token() {
    let two = Two::new();
    let (id, other) = (two.key(&[]), two.key(&[]));
    let one = format!(
        r#"{{"Statement":{{"Effect":"Allow","Action":"signet:CopyKey","Resource":"arn:aws:kms:us-east-1:000000000000:key/{id}"}}}}"#
    );
    two.put_policy("one", &one);
    two.let_bob("see", &["kms:DescribeKey"]);
    two.log_in("Bob");
    for token in [TRUE, FALSE] {
        let template = [(A::Token, token)];
        let template = raw(&template);
        let copy = two.bob.copy_object(two.session, two.found(&id), &template).unwrap();
        assert_refused(sign_init(&two.bob, two.session, copy));
        assert_refused(two.bob.copy_object(two.session, copy, &template));
        assert_refused(two.bob.copy_object(two.session, two.found(&other), &template));
    }
}

#[test]
fn a_copy_in_a_session_is_governed_as_its_original_until_the_session_ends() {
    let two = Two::may(&["signet:CopyKey", "kms:DescribeKey", "kms:GenerateMac"]);
    for private in [TRUE, FALSE] {
        let id = two.key(&[(A::Private, private)]);
        let template = raw(&[(A::Token, FALSE)]);
        let copy = two.bob.copy_object(two.session, two.found(&id), &template).unwrap();
        two.assert_signs(copy);
        assert_refused(two.bob.mac_init(two.session, Signing::Verify, mechanism(HMAC), copy));
        // Nothing but the copy is used, and still the change is noticed.
        two.take_policy("allowed");
        assert!(two.sign_init(copy).is_err());
        two.let_bob("allowed", &["signet:CopyKey", "kms:DescribeKey", "kms:GenerateMac"]);
        two.assert_signs(copy);
        // It is no other's after a logout, and not the public's.
        two.bob.logout(two.session).unwrap();
        assert!(two.sign_init(copy).is_err());
        two.log_in("Alice");
        assert!(two.sign_init(copy).is_err());
        two.bob.logout(two.session).unwrap();
        two.log_in("Bob");
    }
}

#[test]
fn the_login_of_a_disabled_user_ends_at_the_next_use_of_an_own_object_too() {
    let two = Two::may(&[]);
    let own = key(&two.bob, two.session, &[]);
    two.assert_signs(own);
    two.token.set_identity_disabled(OWNER, &user("Bob"), true).unwrap();
    assert_eq!(two.sign_init(own), Err(Error::UserNotLoggedIn));
    two.log_in("Alice");
    assert_eq!(two.sign_init(own), Err(Error::KeyHandleInvalid(own)));
}

#[test]
fn a_disabled_user_makes_no_private_object_of_the_session_either() {
    let two = Two::may(&[]);
    key(&two.bob, two.session, &[]);
    two.token.set_identity_disabled(OWNER, &user("Bob"), true).unwrap();
    assert_eq!(try_key(&two.bob, two.session, &[]), Err(Error::UserNotLoggedIn));
}

#[test]
fn a_value_that_may_not_be_read_is_not_found_out_either() {
    let two = Two::may(&["signet:CopyKey", "kms:DescribeKey"]);
    let id = two.key(&READABLE);
    let handle = two.found(&id);
    let copy = two.bob.copy_object(two.session, handle, &raw(&[(A::Token, FALSE)])).unwrap();
    for object in [handle, copy] {
        let value = read(&two.bob, two.session, object, A::Value);
        assert_eq!(value, Err(Error::AttributeSensitive(A::Value)));
        two.bob.digest_init(two.session, mechanism(MechanismType::Sha256)).unwrap();
        assert_refused(two.bob.digest_key(two.session, object));
        two.bob.session_cancel(two.session, &[Cancel::Digest]).unwrap();
    }
    let guess = [(A::Value, &b"Jefe"[..])];
    assert_eq!(found(&two.bob, two.session, &guess), []);
    two.let_bob("value", &["signet:ReadValue"]);
    let mut both = [handle, copy];
    both.sort();
    assert_eq!(found(&two.bob, two.session, &guess), both);
    assert_eq!(read(&two.bob, two.session, copy, A::Value).unwrap(), b"Jefe");
    // Nor by whom the state forbids it.
    two.token.disable_key(OWNER, &id).unwrap();
    assert_eq!(found(&two.bob, two.session, &guess), [copy]);
}

#[test]
fn a_hidden_key_is_not_there_for_any_call() {
    let two = Two::may(&["kms:*", "signet:*"]);
    let id = two.key(&[(A::Label, b"hidden")]);
    let handle = two.found(&id);
    two.put_key_policy(&id, &[("Allow", ROOT, "kms:*"), ("Deny", BOB, "*")]);
    let (bob, session) = (&two.bob, two.session);
    let gone = Error::ObjectHandleInvalid(handle);
    assert_eq!(two.sign_init(handle), Err(Error::KeyHandleInvalid(handle)));
    assert_eq!(read(bob, session, handle, A::Label), Err(gone.clone()));
    assert_eq!(bob.object_size(session, handle), Err(gone.clone()));
    assert_eq!(bob.copy_object(session, handle, &[]), Err(gone.clone()));
    assert_eq!(bob.destroy_object(session, handle), Err(gone.clone()));
    let label = raw(&[(A::Label, b"other")]);
    assert_eq!(bob.set_attributes(session, handle, &label), Err(gone));
    bob.digest_init(session, mechanism(MechanismType::Sha256)).unwrap();
    assert_eq!(bob.digest_key(session, handle), Err(Error::KeyHandleInvalid(handle)));
    bob.session_cancel(session, &[Cancel::Digest]).unwrap();
    for wanted in [&[][..], &[(A::Label, &b"hidden"[..])], &[(A::UniqueId, id.as_bytes())]] {
        assert_eq!(found(bob, session, wanted), []);
    }
}

#[test]
fn what_one_has_found_another_is_not_given() {
    let two = Two::may(&["kms:DescribeKey"]);
    two.key(&[]);
    let begin = || two.bob.find_objects_init(two.session, &[]).unwrap();
    let found = || {
        let found = two.bob.find_objects(two.session, 10).unwrap();
        two.bob.find_objects_final(two.session).unwrap();
        found
    };
    begin();
    assert_eq!(found().len(), 1);
    begin();
    two.bob.logout(two.session).unwrap();
    two.log_in("Alice");
    assert_eq!(found(), []);
    two.bob.logout(two.session).unwrap();
    two.bob.login(two.session, USER, &pin(USER_PIN)).unwrap();
    begin();
    two.bob.logout(two.session).unwrap();
    two.log_in("Alice");
    assert_eq!(found(), []);
}

#[test]
fn a_handle_outlives_a_refusal() {
    let two = Two::may(&["kms:DescribeKey", "kms:GenerateMac"]);
    let id = two.key(&[]);
    let handle = two.found(&id);
    two.assert_signs(handle);
    two.take_policy("allowed");
    for _ in 0..2 {
        assert_eq!(two.sign_init(handle), Err(Error::KeyHandleInvalid(handle)));
    }
    two.let_bob("allowed", &["kms:DescribeKey", "kms:GenerateMac"]);
    two.assert_signs(handle);
}

#[test]
fn each_function_takes_leave_for_its_own_action_and_no_other_will_do() {
    type Function = fn(&Two, ObjectHandle) -> Result<()>;
    let table: [(&str, Function); 9] = [
        ("kms:GenerateMac", |two, key| two.sign_init(key)),
        ("kms:VerifyMac", |two, key| {
            two.bob.mac_init(two.session, Signing::Verify, mechanism(HMAC), key)?;
            two.bob.session_cancel(two.session, Cancel::VERIFY)
        }),
        ("kms:VerifyMac", |two, key| {
            let signing = Signing::VerifySignature(&[0; 32]);
            two.bob.mac_init(two.session, signing, mechanism(HMAC), key)?;
            two.bob.verify_signature(two.session, QUESTION).or(Ok(()))
        }),
        ("signet:DigestKey", |two, key| {
            two.bob.digest_init(two.session, mechanism(MechanismType::Sha256))?;
            let digested = two.bob.digest_key(two.session, key);
            two.bob.session_cancel(two.session, &[Cancel::Digest])?;
            digested
        }),
        ("signet:ReadValue", |two, key| read(&two.bob, two.session, key, A::Value).map(drop)),
        ("signet:UpdateAttributes", |two, key| {
            two.bob.set_attributes(two.session, key, &raw(&[(A::Label, b"l")]))
        }),
        ("signet:CopyKey", |two, key| two.bob.copy_object(two.session, key, &[]).map(drop)),
        ("signet:CopyKey", |two, key| {
            two.bob.copy_object(two.session, key, &raw(&[(A::Token, FALSE)])).map(drop)
        }),
        ("signet:DestroyKey", |two, key| two.bob.destroy_object(two.session, key)),
    ];
    let two = Two::may(&["kms:DescribeKey"]);
    let every: Vec<_> = table.iter().map(|(action, _)| *action).collect();
    for (action, function) in table {
        let key = two.found(&two.key(&READABLE));
        let others: Vec<_> = every.iter().copied().filter(|other| *other != action).collect();
        two.let_bob("only", &others);
        let refused = function(&two, key);
        let is_refusal =
            matches!(refused, Err(Error::AccessDenied(_) | Error::AttributeSensitive(_)));
        assert!(is_refusal, "{action}: {refused:?}");
        two.let_bob("only", &[action]);
        assert_eq!(function(&two, key), Ok(()), "{action}");
    }
}
