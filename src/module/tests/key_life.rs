//! What the life of a key does to its use through the standard's functions, in the
//! application that changes it and in another.

use super::*;
use crate::clock::Clock;
use crate::log::NoLog;
use crate::object::kms::NewKey;
use crate::object::{KeySpec, Origin};
use crate::secret::SecretBytes;
use crate::session::Cancel;
use crate::token::Token;
use crate::types::AttributeType as A;

const DAY: Duration = Duration::from_secs(86_400);

/// Two applications, one clock.
struct Two {
    clock: Arc<ManualClock>,
    applications: [(Module, SessionHandle); 2],
}

impl Two {
    fn new() -> Self {
        let place = place();
        ready_on(&place);
        let clock = Arc::new(ManualClock::new(UNIX_EPOCH + 20_000 * DAY));
        let application = || {
            let clock: Arc<dyn Clock> = clock.clone();
            let surroundings =
                Surroundings { entropy: Arc::new(OsEntropy), clock, log: Arc::new(NoLog) };
            let place = Arc::<MemoryPlace>::clone(&place);
            let module = Module::new(place, surroundings, &config()).unwrap();
            let session = user_session(&module);
            (module, session)
        };
        Self { applications: [application(), application()], clock }
    }

    fn token(&self) -> (Arc<Token>, crate::policy::Principal) {
        let (module, session) = &self.applications[0];
        module.token_of(*session).unwrap()
    }

    /// The handles of a key in both, and its unique id.
    fn known(&self, wanted: &[(A, &[u8])]) -> ([ObjectHandle; 2], String) {
        let handles = self.applications.each_ref().map(|(module, session)| {
            let found = found(module, *session, wanted);
            assert_eq!(found.len(), 1);
            found[0]
        });
        let (module, session) = &self.applications[0];
        let id = read(module, *session, handles[0], A::UniqueId).unwrap();
        (handles, String::from_utf8(id).unwrap())
    }

    /// A readable key of the C door's, with this value.
    fn made(&self, more: &[(A, &[u8])]) -> ([ObjectHandle; 2], String) {
        let (module, session) = &self.applications[0];
        let own = [(A::Token, TRUE), (A::Label, &b"k"[..])];
        key(module, *session, &[&own[..], more].concat());
        self.known(&own)
    }

    /// What `C_SignInit`, `C_VerifyInit` of the key come to in each application.
    #[track_caller]
    fn assert_init(&self, handles: [ObjectHandle; 2], expected: fn(ObjectHandle) -> Result<()>) {
        for ((module, session), handle) in self.applications.iter().zip(handles) {
            for signing in [Signing::Sign, Signing::Verify] {
                let begun = module.mac_init(*session, signing, mechanism(HMAC), handle);
                assert_eq!(begun, expected(handle));
                if begun.is_ok() {
                    module.session_cancel(*session, Cancel::SIGN).unwrap();
                    module.session_cancel(*session, Cancel::VERIFY).unwrap();
                }
            }
        }
    }
}

const fn goes_on(_: ObjectHandle) -> Result<()> {
    Ok(())
}

const fn not_permitted(_: ObjectHandle) -> Result<()> {
    Err(Error::KeyFunctionNotPermitted)
}

const fn no_such_key(handle: ObjectHandle) -> Result<()> {
    Err(Error::KeyHandleInvalid(handle))
}

#[test]
fn a_disabled_key_is_refused_everywhere_until_it_is_enabled() {
    let two = Two::new();
    let readable = [(A::Sensitive, FALSE), (A::Extractable, TRUE)];
    let (handles, id) = two.made(&readable);
    let (token, owner) = two.token();
    two.assert_init(handles, goes_on);
    let (module, session) = &two.applications[1];
    // What is under way goes on.
    sign_init(module, *session, handles[1]).unwrap();
    token.disable_key(owner, &id).unwrap();
    assert_eq!(hex(&finish(module, *session, QUESTION).unwrap()), JEFE);
    two.assert_init(handles, not_permitted);
    let value = read(module, *session, handles[1], A::Value);
    assert_eq!(value, Err(Error::AttributeSensitive(A::Value)), "nobody computes it elsewhere");
    assert!(found(module, *session, &[(A::Value, b"Jefe")]).is_empty());
    module.digest_init(*session, mechanism(MechanismType::Sha256)).unwrap();
    assert_eq!(module.digest_key(*session, handles[1]), Err(Error::KeyIndigestible));
    assert_eq!(read(module, *session, handles[1], A::Label).unwrap(), b"k");
    token.enable_key(owner, &id).unwrap();
    two.assert_init(handles, goes_on);
    assert_eq!(read(module, *session, handles[1], A::Value).unwrap(), b"Jefe");
}

#[test]
fn a_key_is_gone_for_who_holds_it_open_at_its_deletion_date() {
    let two = Two::new();
    let (handles, id) = two.made(&[]);
    let (token, owner) = two.token();
    two.assert_init(handles, goes_on);
    token.schedule_key_deletion(owner, &id, 7).unwrap();
    two.assert_init(handles, not_permitted);
    two.clock.advance(7 * DAY - Duration::from_secs(1));
    two.assert_init(handles, not_permitted);
    two.clock.advance(Duration::from_secs(1));
    two.assert_init(handles, no_such_key);
    for ((module, session), handle) in two.applications.iter().zip(handles) {
        let gone = Error::ObjectHandleInvalid(handle);
        assert_eq!(read(module, *session, handle, A::Label), Err(gone.clone()));
        assert_eq!(module.object_size(*session, handle), Err(gone.clone()));
        assert_eq!(module.destroy_object(*session, handle), Err(gone.clone()));
        assert_eq!(module.copy_object(*session, handle, &[]), Err(gone));
        assert!(found(module, *session, &[]).is_empty());
    }
}

#[test]
fn expired_material_is_used_by_nobody_who_holds_the_key_open() {
    let two = Two::new();
    let (token, owner) = two.token();
    let new = NewKey { origin: Origin::External, ..NewKey::new(KeySpec::Hmac256) };
    let id = token.create_kms_key(owner, new, false).unwrap().id().to_owned();
    let (handles, _) = two.known(&[(A::UniqueId, id.as_bytes())]);
    two.assert_init(handles, not_permitted);
    let material = SecretBytes::copied(&[7; 32]);
    let until = two.clock.now() + DAY;
    token.import_key_material(owner, &id, &material, Some(until)).unwrap();
    two.assert_init(handles, goes_on);
    two.clock.advance(DAY);
    two.assert_init(handles, not_permitted);
    token.act_on_dates().unwrap();
    two.assert_init(handles, not_permitted);
    token.import_key_material(owner, &id, &material, None).unwrap();
    two.clock.advance(1000 * DAY);
    two.assert_init(handles, goes_on);
}

#[test]
fn a_key_of_the_kms_api_is_neither_changed_nor_copied_nor_destroyed_here() {
    let two = Two::new();
    let (token, owner) = two.token();
    let made = token.create_kms_key(owner, NewKey::new(KeySpec::Hmac384), false).unwrap();
    let (handles, _) = two.known(&[(A::UniqueId, made.id().as_bytes())]);
    for ((module, session), handle) in two.applications.iter().zip(handles) {
        let label = [(A::Label, &b"mine"[..])];
        for refused in [
            module.set_attributes(*session, handle, &raw(&label)),
            module.copy_object(*session, handle, &[]).map(drop),
            module.destroy_object(*session, handle),
        ] {
            assert!(matches!(refused, Err(Error::ActionProhibited(_))), "{refused:?}");
        }
        let value = read(module, *session, handle, A::Value);
        assert_eq!(value, Err(Error::AttributeSensitive(A::Value)));
        let begin = |wanted| {
            let begun = module.mac_init(*session, Signing::Sign, mechanism(wanted), handle);
            begun.map(|()| finish(module, *session, QUESTION).unwrap().len())
        };
        assert_eq!(begin(MechanismType::Sha384Hmac), Ok(48));
        for other in [MechanismType::Sha256Hmac, MechanismType::Sha512Hmac] {
            assert_eq!(begin(other), Err(Error::KeyTypeInconsistent), "{other}");
        }
        let length = ck(24);
        let mechanism =
            RawMechanism { number: MechanismType::Sha384HmacGeneral.to_ck(), parameter: &length };
        let cut = module.mac_init(*session, Signing::Sign, mechanism, handle);
        assert!(matches!(cut, Err(Error::MechanismInvalid(_))), "no MAC is cut: {cut:?}");
    }
}

#[test]
fn a_copy_is_as_disabled_as_its_original_and_expires_with_it() {
    let two = Two::new();
    let (handles, id) = two.made(&[]);
    let (token, owner) = two.token();
    token.disable_key(owner, &id).unwrap();
    let (module, session) = &two.applications[1];
    for template in [&[(A::Token, TRUE)][..], &[(A::Token, FALSE)]] {
        let copy = module.copy_object(*session, handles[1], &raw(template)).unwrap();
        assert_eq!(sign_init(module, *session, copy), Err(Error::KeyFunctionNotPermitted));
    }
    token.enable_key(owner, &id).unwrap();
    token.schedule_key_deletion(owner, &id, 7).unwrap();
    let kept = module.copy_object(*session, handles[1], &raw(&[(A::Token, FALSE)])).unwrap();
    module.set_attributes(*session, handles[1], &raw(&[(A::Label, b"renamed")])).unwrap();
    two.clock.advance(7 * DAY);
    assert_eq!(sign_init(module, *session, kept), Err(Error::KeyFunctionNotPermitted));
    let gone = Err(Error::KeyHandleInvalid(handles[1]));
    assert_eq!(sign_init(module, *session, handles[1]), gone, "a change keeps the date");
}
