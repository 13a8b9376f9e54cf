//! An answer that is kept with an opened key holds until somebody changes what it rests on.
//! Here Bob has signed, and so has an answer; another application changes something, and his
//! next `C_SignInit` is answered anew. For each such change a test.

use super::policies::{BOB, BOB_PIN, DAY, OWNER, ROOT, Two, allow, assert_refused, user};
use super::*;
use crate::clock::{Clock, Timestamp};
use crate::object::kms::NewKey;
use crate::object::{KeySpec, Origin};
use crate::policy::GrantTerms;
use crate::secret::SecretBytes;
use crate::token::{Identity, Name};
use crate::types::AttributeType as A;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

const SECOND: Duration = Duration::from_secs(1);
const ROLE: &str = "arn:aws:iam::000000000000:role/Producer";

/// Bob sees all keys, and has the handle of this one.
struct Bob {
    two: Two,
    id: String,
    key: ObjectHandle,
}

impl Bob {
    fn with(two: Two, id: String) -> Self {
        two.let_bob("see", &["kms:DescribeKey"]);
        two.log_in("Bob");
        let key = two.found(&id);
        Self { two, id, key }
    }

    /// A key of the KMS API that nobody lets him use.
    fn seeing() -> Self {
        let two = Two::in_directory();
        let made = two.token.create_kms_key(OWNER, NewKey::new(KeySpec::Hmac256), false).unwrap();
        Self::with(two, made.id().to_owned())
    }

    /// One that a policy of his own lets him use.
    fn using() -> Self {
        let bob = Self::seeing();
        bob.two.let_bob("use", &["kms:GenerateMac"]);
        bob
    }

    /// Bob, in the role of a producer who sees all keys.
    fn in_role() -> Self {
        let bob = Self::seeing();
        let trust = format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":{{"AWS":"{BOB}"}},"Action":"sts:AssumeRole"}}}}"#
        );
        bob.two.token.add_role(OWNER, &producer(), &trust).unwrap();
        bob.let_role("see", "kms:DescribeKey");
        bob.two.bob.logout(bob.two.session).unwrap();
        bob.take_role().unwrap();
        let key = bob.two.found(&bob.id);
        Self { key, ..bob }
    }

    fn take_role(&self) -> Result<()> {
        let user = Name::new("Bob").unwrap();
        self.two.bob.login_in_role(self.two.session, &producer(), &user, &pin(BOB_PIN))
    }

    fn let_role(&self, name: &str, action: &str) {
        let policy = allow(&[action], "");
        let role = Identity::Role(producer());
        self.two.token.put_identity_policy(OWNER, &role, name, &policy).unwrap();
    }

    /// Lets him use keys under a condition.
    fn let_use_if(&self, condition: &str) {
        self.two.put_policy("use", &allow(&["kms:GenerateMac"], condition));
    }

    /// Twice: the second time by the answer to the first.
    #[track_caller]
    fn signs(&self) {
        for _ in 0..2 {
            assert_eq!(self.two.sign_init(self.key), Ok(()));
        }
    }

    #[track_caller]
    fn is_refused(&self) {
        for _ in 0..2 {
            assert_refused(self.two.sign_init(self.key));
        }
    }

    /// Whatever policies say.
    #[track_caller]
    fn is_not_permitted(&self) {
        assert_eq!(self.two.sign_init(self.key), Err(Error::KeyFunctionNotPermitted));
    }

    #[track_caller]
    fn finds_no_key(&self) {
        assert_eq!(self.two.sign_init(self.key), Err(Error::KeyHandleInvalid(self.key)));
        let wanted = [(A::UniqueId, self.id.as_bytes())];
        assert_eq!(found(&self.two.bob, self.two.session, &wanted), []);
    }

    #[track_caller]
    fn is_logged_out(&self) {
        assert_eq!(self.two.sign_init(self.key), Err(Error::UserNotLoggedIn));
    }
}

fn producer() -> Name {
    Name::new("Producer").unwrap()
}

fn date(date: SystemTime) -> String {
    Timestamp(date).to_string()
}

#[test]
fn the_key_policy() {
    let bob = Bob::using();
    let put = |statements: &[_]| bob.two.put_key_policy(&bob.id, statements);
    bob.signs();
    put(&[("Allow", ROOT, "kms:*"), ("Deny", BOB, "kms:GenerateMac")]);
    bob.is_refused();
    put(&[("Allow", ROOT, "kms:*")]);
    bob.signs();
    // It does not leave it to policies of the account's users.
    put(&[("Allow", ROOT, "kms:PutKeyPolicy"), ("Allow", BOB, "kms:DescribeKey")]);
    bob.is_refused();
    put(&[("Allow", ROOT, "kms:PutKeyPolicy"), ("Allow", BOB, "kms:*")]);
    bob.signs();
    put(&[("Allow", ROOT, "kms:*"), ("Deny", BOB, "kms:DescribeKey")]);
    bob.finds_no_key();
}

#[test]
fn a_grant_made_revoked_and_retired() {
    let bob = Bob::seeing();
    let (token, key) = (&bob.two.token, &*bob.id);
    let grant = |operation| {
        let terms = GrantTerms::new(None, BOB, Some(ROOT), &[operation]).unwrap();
        token.create_grant(OWNER, key, &terms).unwrap().id
    };
    bob.is_refused();
    let id = grant("GenerateMac");
    bob.signs();
    token.revoke_grant(OWNER, key, &id).unwrap();
    bob.is_refused();
    grant("VerifyMac");
    bob.is_refused();
    let id = grant("GenerateMac");
    bob.signs();
    token.retire_grant(OWNER, key, &id).unwrap();
    bob.is_refused();
}

#[test]
fn a_grant_to_the_role() {
    let bob = Bob::in_role();
    bob.is_refused();
    let terms = GrantTerms::new(None, ROLE, None, &["GenerateMac"]).unwrap();
    let grant = bob.two.token.create_grant(OWNER, &bob.id, &terms).unwrap();
    bob.signs();
    bob.two.token.revoke_grant(OWNER, &bob.id, &grant.id).unwrap();
    bob.is_refused();
}

#[test]
fn an_alias_made_moved_and_removed() {
    let bob = Bob::seeing();
    let (token, key) = (&bob.two.token, &*bob.id);
    bob.let_use_if(r#""ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/jwt"}"#);
    let other = bob.two.key(&[]);
    bob.is_refused();
    token.create_alias(OWNER, "alias/jwt", key).unwrap();
    bob.signs();
    token.update_alias(OWNER, "alias/jwt", &other).unwrap();
    bob.is_refused();
    token.update_alias(OWNER, "alias/jwt", key).unwrap();
    bob.signs();
    token.delete_alias(OWNER, "alias/jwt").unwrap();
    bob.is_refused();
}

#[test]
fn a_tag_of_the_key() {
    let bob = Bob::seeing();
    let (token, key) = (&bob.two.token, &*bob.id);
    bob.let_use_if(r#""StringEquals":{"aws:ResourceTag/team":"red"}"#);
    let tag = |value: &str| token.tag_key(OWNER, key, &[("team".into(), value.into())]).unwrap();
    bob.is_refused();
    tag("red");
    bob.signs();
    tag("blue");
    bob.is_refused();
    tag("red");
    bob.signs();
    token.untag_key(OWNER, key, &["team".into()]).unwrap();
    bob.is_refused();
}

#[test]
fn a_policy_of_the_user() {
    let bob = Bob::using();
    bob.signs();
    let deny = r#"{"Statement":{"Effect":"Deny","Action":"kms:GenerateMac","Resource":"*"}}"#;
    bob.two.put_policy("not", deny);
    bob.is_refused();
    bob.two.take_policy("not");
    bob.signs();
    bob.two.let_bob("use", &["kms:VerifyMac"]);
    bob.is_refused();
    bob.two.let_bob("use", &["kms:GenerateMac"]);
    bob.signs();
    bob.two.take_policy("use");
    bob.is_refused();
}

#[test]
fn a_tag_of_the_user() {
    let bob = Bob::seeing();
    bob.let_use_if(r#""StringEquals":{"aws:PrincipalTag/team":"red"}"#);
    bob.is_refused();
    bob.two.token.tag_identity(OWNER, &user("Bob"), "team", "red").unwrap();
    bob.signs();
    bob.two.token.tag_identity(OWNER, &user("Bob"), "Team", "blue").unwrap();
    bob.is_refused();
    bob.two.token.tag_identity(OWNER, &user("Bob"), "team", "red").unwrap();
    bob.signs();
    bob.two.token.untag_identity(OWNER, &user("Bob"), "team").unwrap();
    bob.is_refused();
}

#[test]
fn the_user_disabled() {
    let bob = Bob::using();
    bob.signs();
    bob.two.token.set_identity_disabled(OWNER, &user("Bob"), true).unwrap();
    bob.is_logged_out();
    bob.two.token.set_identity_disabled(OWNER, &user("Bob"), false).unwrap();
    bob.finds_no_key();
    bob.two.log_in("Bob");
    let key = bob.two.found(&bob.id);
    Bob { key, ..bob }.signs();
}

#[test]
fn the_user_removed_and_another_of_the_name_made() {
    for again in [false, true] {
        let bob = Bob::using();
        bob.signs();
        let name = Name::new("Bob").unwrap();
        bob.two.token.remove_user(OWNER, &name).unwrap();
        if again {
            bob.two.token.add_user(OWNER, &name, &pin(BOB_PIN)).unwrap();
            bob.two.let_bob("use", &["kms:*"]);
        }
        bob.is_logged_out();
    }
}

#[test]
fn a_policy_of_the_role() {
    let bob = Bob::in_role();
    let role = Identity::Role(producer());
    bob.is_refused();
    bob.let_role("use", "kms:GenerateMac");
    bob.signs();
    bob.two.token.delete_identity_policy(OWNER, &role, "use").unwrap();
    bob.is_refused();
    // What the user may do, the role may not.
    bob.two.let_bob("use", &["kms:GenerateMac"]);
    bob.is_refused();
}

#[test]
fn a_tag_of_the_role() {
    let bob = Bob::in_role();
    let role = Identity::Role(producer());
    let policy = allow(&["kms:GenerateMac"], r#""StringEquals":{"aws:PrincipalTag/team":"red"}"#);
    bob.two.token.put_identity_policy(OWNER, &role, "use", &policy).unwrap();
    bob.is_refused();
    bob.two.token.tag_identity(OWNER, &role, "team", "red").unwrap();
    bob.signs();
    bob.two.token.untag_identity(OWNER, &role, "team").unwrap();
    bob.is_refused();
}

#[test]
fn the_role_or_its_user_disabled_or_removed() {
    type Change = fn(&Bob);
    let changes: [Change; 5] = [
        |bob| {
            let role = Identity::Role(producer());
            bob.two.token.set_identity_disabled(OWNER, &role, true).unwrap();
        },
        |bob| bob.two.token.set_identity_disabled(OWNER, &user("Bob"), true).unwrap(),
        |bob| bob.two.token.remove_role(OWNER, &producer()).unwrap(),
        |bob| bob.two.token.remove_user(OWNER, &Name::new("Bob").unwrap()).unwrap(),
        |bob| {
            // Another role of the name.
            bob.two.token.remove_role(OWNER, &producer()).unwrap();
            let trust =
                r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}"#;
            bob.two.token.add_role(OWNER, &producer(), trust).unwrap();
            bob.let_role("use", "kms:*");
        },
    ];
    for change in changes {
        let bob = Bob::in_role();
        bob.let_role("use", "kms:GenerateMac");
        bob.signs();
        change(&bob);
        bob.is_logged_out();
    }
}

#[test]
fn a_trust_policy_ends_no_login_and_lets_nobody_in_again() {
    let bob = Bob::in_role();
    bob.let_role("use", "kms:GenerateMac");
    bob.signs();
    let nobody = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}}"#;
    bob.two.token.put_trust_policy(OWNER, &producer(), nobody).unwrap();
    bob.signs();
    bob.two.bob.logout(bob.two.session).unwrap();
    assert!(matches!(bob.take_role(), Err(Error::ActionProhibited(_))));
}

#[test]
fn the_state_of_the_key() {
    let bob = Bob::using();
    bob.signs();
    bob.two.token.disable_key(OWNER, &bob.id).unwrap();
    bob.is_not_permitted();
    bob.two.token.enable_key(OWNER, &bob.id).unwrap();
    bob.signs();
}

#[test]
fn a_deletion_scheduled_cancelled_and_due() {
    let bob = Bob::using();
    let (token, key) = (&bob.two.token, &*bob.id);
    bob.signs();
    token.schedule_key_deletion(OWNER, key, 7).unwrap();
    bob.is_not_permitted();
    token.cancel_key_deletion(OWNER, key).unwrap();
    bob.is_not_permitted();
    token.enable_key(OWNER, key).unwrap();
    bob.signs();
    token.schedule_key_deletion(OWNER, key, 7).unwrap();
    bob.two.clock.advance(7 * DAY - SECOND);
    bob.is_not_permitted();
    // Nobody acts on the date; it has come.
    bob.two.clock.advance(SECOND);
    bob.finds_no_key();
    token.act_on_dates().unwrap();
    bob.finds_no_key();
}

#[test]
fn the_key_destroyed() {
    let two = Two::in_directory();
    let id = two.key(&[]);
    let bob = Bob::with(two, id);
    bob.two.let_bob("use", &["kms:GenerateMac"]);
    bob.signs();
    let wanted = [(A::UniqueId, bob.id.as_bytes())];
    let there = found(&bob.two.owner, bob.two.owner_session, &wanted)[0];
    bob.two.owner.destroy_object(bob.two.owner_session, there).unwrap();
    bob.finds_no_key();
}

#[test]
fn the_expiry_of_imported_material() {
    let two = Two::in_directory();
    let new = NewKey { origin: Origin::External, ..NewKey::new(KeySpec::Hmac256) };
    let made = two.token.create_kms_key(OWNER, new, false).unwrap();
    let bob = Bob::with(two, made.id().to_owned());
    bob.two.let_bob("use", &["kms:GenerateMac"]);
    let (token, clock) = (&bob.two.token, &bob.two.clock);
    let import = |until| {
        let material = SecretBytes::copied(&[7; 32]);
        token.import_key_material(OWNER, &bob.id, &material, until).unwrap();
    };
    let start = clock.now();
    bob.is_not_permitted();
    import(Some(start + 2 * DAY));
    bob.signs();
    clock.set(start + 2 * DAY - SECOND);
    bob.signs();
    clock.set(start + 2 * DAY);
    bob.is_not_permitted();
    // Put off, advanced, for ever.
    import(Some(start + 9 * DAY));
    bob.signs();
    import(Some(start + 3 * DAY));
    bob.signs();
    clock.set(start + 3 * DAY);
    bob.is_not_permitted();
    import(None);
    clock.set(start + 900 * DAY);
    bob.signs();
    token.delete_imported_key_material(OWNER, &bob.id).unwrap();
    bob.is_not_permitted();
}

#[test]
fn the_time_in_policies_and_what_they_say_of_it() {
    let bob = Bob::seeing();
    let clock = &bob.two.clock;
    let start = clock.now();
    let between = |from, until| {
        bob.let_use_if(&format!(
            r#""DateGreaterThanEquals":{{"aws:CurrentTime":"{}"}},"DateLessThan":{{"aws:CurrentTime":"{}"}}"#,
            date(from),
            date(until)
        ));
    };
    between(start + DAY, start + 2 * DAY);
    bob.is_refused();
    clock.set(start + DAY);
    bob.signs();
    clock.set(start + 2 * DAY - SECOND);
    bob.signs();
    clock.set(start + 2 * DAY);
    bob.is_refused();
    between(start + DAY, start + 3 * DAY);
    bob.signs();
    // Clocks are set back, too.
    clock.set(start + DAY - SECOND);
    bob.is_refused();
    clock.set(start + DAY);
    bob.signs();
    between(start + DAY, start + DAY);
    bob.is_refused();
}

#[test]
fn the_dates_of_pkcs11_are_for_reference_only() {
    let two = Two::in_directory();
    let id = two.key(&[(A::StartDate, b"20300101"), (A::EndDate, b"20310101")]);
    let bob = Bob::with(two, id);
    bob.two.let_bob("use", &["kms:GenerateMac"]);
    bob.signs();
    let (owner, session) = (&bob.two.owner, bob.two.owner_session);
    let there = found(owner, session, &[(A::UniqueId, bob.id.as_bytes())])[0];
    owner.set_attributes(session, there, &raw(&[(A::EndDate, b"20010101")])).unwrap();
    bob.signs();
    assert_eq!(read(&bob.two.bob, bob.two.session, bob.key, A::EndDate).unwrap(), b"20010101");
}

#[test]
fn an_attribute_that_keeps_the_key_from_a_use() {
    let two = Two::in_directory();
    let id = two.key(&[]);
    let bob = Bob::with(two, id);
    bob.two.let_bob("use", &["kms:GenerateMac"]);
    bob.signs();
    let (owner, session) = (&bob.two.owner, bob.two.owner_session);
    let there = found(owner, session, &[(A::UniqueId, bob.id.as_bytes())])[0];
    owner.set_attributes(session, there, &raw(&[(A::Sign, FALSE)])).unwrap();
    bob.is_not_permitted();
}

#[test]
fn another_root_key_changes_no_answer() {
    let bob = Bob::using();
    let deny = r#"{"Statement":{"Effect":"Deny","Action":"kms:*","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/closed"}}}}"#;
    bob.two.put_policy("closed", deny);
    bob.signs();
    bob.two.token.rotate_root_key(OWNER).unwrap();
    bob.signs();
    bob.two.token.create_alias(OWNER, "alias/closed", &bob.id).unwrap();
    bob.finds_no_key();
    bob.two.token.rotate_root_key(OWNER).unwrap();
    bob.finds_no_key();
}

#[test]
fn a_login_of_somebody_else() {
    let bob = Bob::using();
    bob.signs();
    let (module, session) = (&bob.two.bob, bob.two.session);
    module.logout(session).unwrap();
    bob.two.log_in("Alice");
    bob.finds_no_key();
    module.logout(session).unwrap();
    module.login(session, USER, &pin(USER_PIN)).unwrap();
    let key = bob.two.found(&bob.id);
    Bob { key, ..bob }.signs();
}

/// Counts up: Bob may, it changes, he may not, it changes, and again.
fn says(count: u64) -> Option<bool> {
    [Some(true), None, Some(false), None][usize::try_from(count % 4).unwrap()]
}

/// Changes Bob's leave to sign, and back, in each way and between changes of all else.
fn change_all(two: &Two, id: &str, now: &AtomicU64) {
    let token = &two.token;
    let next = || now.fetch_add(1, Ordering::SeqCst);
    let flip = |deny: &dyn Fn(), allow: &dyn Fn()| {
        next();
        deny();
        next();
        token.tag_key(OWNER, id, &[("any".into(), "thing".into())]).unwrap();
        next();
        allow();
        next();
        token.untag_key(OWNER, id, &["any".into()]).unwrap();
    };
    let terms = GrantTerms::new(None, BOB, Some(ROOT), &["GenerateMac"]).unwrap();
    let deny = r#"{"Statement":{"Effect":"Deny","Action":"kms:GenerateMac","Resource":"*"}}"#;
    flip(&|| two.put_policy("not", deny), &|| two.take_policy("not"));
    flip(
        &|| two.put_key_policy(id, &[("Allow", ROOT, "kms:*"), ("Deny", BOB, "kms:GenerateMac")]),
        &|| two.put_key_policy(id, &[("Allow", ROOT, "kms:*")]),
    );
    flip(&|| token.create_alias(OWNER, "alias/closed", id).unwrap(), &|| {
        token.delete_alias(OWNER, "alias/closed").unwrap();
    });
    flip(&|| two.take_policy("use"), &|| drop(token.create_grant(OWNER, id, &terms).unwrap()));
    let filter = crate::token::GrantFilter::default();
    let (grants, _) = token.grants(OWNER, id, filter, None, 10).unwrap();
    flip(&|| token.revoke_grant(OWNER, id, &grants[0].id).unwrap(), &|| {
        two.let_bob("use", &["kms:GenerateMac"]);
    });
    flip(&|| token.disable_key(OWNER, id).unwrap(), &|| token.enable_key(OWNER, id).unwrap());
    // What changes no answer.
    token.rotate_root_key(OWNER).unwrap();
    token.create_alias(OWNER, "alias/open", id).unwrap();
    token.delete_alias(OWNER, "alias/open").unwrap();
    token
        .add_role(
            OWNER,
            &producer(),
            r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}"#,
        )
        .unwrap();
    token.remove_role(OWNER, &producer()).unwrap();
}

#[test]
fn many_threads_never_act_on_what_was_true_before() {
    let bob = Bob::using();
    let closed = r#"{"Statement":{"Effect":"Deny","Action":"kms:GenerateMac","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/closed"}}}}"#;
    bob.two.put_policy("closed", closed);
    bob.signs();
    let (now, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let Bob { two, id, key } = &bob;
    let module = &two.bob;
    let judged = |refused: Option<Error>, before: u64| {
        let did = match refused {
            None => true,
            Some(Error::AccessDenied(_) | Error::KeyFunctionNotPermitted) => false,
            Some(other) => panic!("{other}"),
        };
        if let (true, Some(may)) = (before == now.load(Ordering::SeqCst), says(before)) {
            assert_eq!(did, may);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let session = module.open_session(SLOT, true).unwrap();
                while !done.load(Ordering::SeqCst) {
                    let before = now.load(Ordering::SeqCst);
                    judged(sign(module, session, *key, QUESTION).err(), before);
                }
            });
        }
        scope.spawn(|| {
            let session = module.open_session(SLOT, true).unwrap();
            let wanted = [(A::UniqueId, id.as_bytes())];
            while !done.load(Ordering::SeqCst) {
                assert_eq!(found(module, session, &wanted), [*key]);
                assert!(read(module, session, *key, A::Label).is_ok());
            }
        });
        for _ in 0..3 {
            change_all(two, id, &now);
        }
        done.store(true, Ordering::SeqCst);
    });
    bob.signs();
}

#[test]
fn logins_and_changes_of_users_in_many_threads_neither_hang_nor_mix() {
    let bob = Bob::using();
    bob.signs();
    let done = AtomicBool::new(false);
    let Bob { two, id, .. } = &bob;
    let (module, alice) = (&two.bob, Name::new("Alice").unwrap());
    let wanted = [(A::UniqueId, id.as_bytes())];
    let log_in = |session, name: &str| {
        let _ = module.logout(session);
        match module.login_user(session, USER, name, &pin(BOB_PIN)) {
            Ok(()) => true,
            // Disabled, or not there, at this moment.
            Err(Error::EntityDisabled(_) | Error::PinIncorrect) => false,
            Err(other) => panic!("{other}"),
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let session = module.open_session(SLOT, true).unwrap();
                while !done.load(Ordering::SeqCst) {
                    for key in found(module, session, &wanted) {
                        if let Ok(mac) = sign(module, session, key, QUESTION) {
                            assert_eq!(mac.len(), 32);
                        }
                    }
                }
            });
        }
        scope.spawn(|| {
            let session = module.open_session(SLOT, true).unwrap();
            while !done.load(Ordering::SeqCst) {
                let known = if log_in(session, "Bob") {
                    found(module, session, &wanted)
                } else {
                    Vec::new()
                };
                if log_in(session, "Alice") {
                    assert_eq!(found(module, session, &wanted), []);
                    for key in known {
                        assert!(sign(module, session, key, QUESTION).is_err());
                        assert!(read(module, session, key, A::Label).is_err());
                    }
                }
            }
        });
        for _ in 0..5 {
            two.token.set_identity_disabled(OWNER, &user("Bob"), true).unwrap();
            two.token.create_alias(OWNER, "alias/any", id).unwrap();
            two.token.set_identity_disabled(OWNER, &user("Bob"), false).unwrap();
            two.token.delete_alias(OWNER, "alias/any").unwrap();
            two.token.remove_user(OWNER, &alice).unwrap();
            two.token.add_user(OWNER, &alice, &pin(BOB_PIN)).unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
    assert!(log_in(two.session, "Bob"));
    let key = two.found(id);
    assert_eq!(two.sign_init(key), Ok(()));
}
