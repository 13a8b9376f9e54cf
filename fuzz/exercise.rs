//! What the fuzz targets and the replay of their corpus do with hostile bytes: any
//! answer will do, but no panic, no endless loop and no allocation that the bytes
//! do not account for.

#![allow(dead_code, clippy::unwrap_used, reason = "whoever includes this needs a part of it")]

use signet_pkcs11::audit::{self, Archive, Cover, Held, Scope, SigningKey, Trail};
use signet_pkcs11::clock::{ManualClock, SystemClock};
use signet_pkcs11::config::Config;
use signet_pkcs11::entropy::OsEntropy;
use signet_pkcs11::error::Result;
use signet_pkcs11::log::NoLog;
use signet_pkcs11::module::Module;
use signet_pkcs11::object::codec;
use signet_pkcs11::policy::{
    Action, Caller, Context, Document, DocumentKind, KeyFacts, NamedPolicy, Request, RoleFacts,
};
use signet_pkcs11::secret::{Pin, SecretBytes};
use signet_pkcs11::store::DirectoryPlace;
use signet_pkcs11::token::Surroundings;
use signet_pkcs11::types::{AttributeType, Home, SessionHandle, SlotId, UserType};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// Opens a token whose file these bytes are, lists it, logs in and checks it, sets aside
/// what is damaged and checks it once more. Whether nothing is wrong with it then.
pub fn store_file(bytes: &[u8]) -> Result<bool> {
    let directory = tempfile::tempdir().unwrap();
    let slot = directory.path().join("slot-0");
    fs::create_dir(&slot).unwrap();
    fs::set_permissions(&slot, fs::Permissions::from_mode(0o700)).unwrap();
    let file = slot.join("token.db");
    fs::write(&file, bytes).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    use_token(directory.path())
}

fn use_token(directory: &Path) -> Result<bool> {
    let entropy = Arc::new(OsEntropy);
    let place = Arc::new(DirectoryPlace::new(directory, entropy.clone()));
    let surroundings = Surroundings { entropy, clock: Arc::new(SystemClock), log: Arc::new(NoLog) };
    let config = Config::with_token_dir(directory.to_owned());
    let module = Module::new(place, surroundings, &config)?;
    let slot = SlotId(0);
    module.token_info(slot)?;
    let session = module.open_session(slot, true)?;
    let _ = list(&module, session);
    module.login(session, UserType::User, &Pin::copied(b"1234"))?;
    let _ = list(&module, session);
    let _ = module.check_token(session);
    let _ = module.quarantine(session);
    let _ = module.quarantined(session);
    let report = module.check_token(session)?;
    module.logout(session)?;
    Ok(report.is_clean())
}

fn list(module: &Module, session: SessionHandle) -> Result<()> {
    module.find_objects_init(session, &[])?;
    let found = module.find_objects(session, 1000);
    module.find_objects_final(session)?;
    for object in found? {
        let wanted = [AttributeType::Label, AttributeType::Id, AttributeType::Value];
        let _ = module.attributes(session, object, &wanted.map(AttributeType::to_ck));
    }
    Ok(())
}

/// Reads an object back; what can be read is written again and read once more.
pub fn object(bytes: &[u8]) {
    let Some(object) = codec::decode(bytes) else { return };
    let again = codec::encode(&object, true).unwrap();
    let back = codec::decode(again.expose()).unwrap();
    assert_eq!(object.attributes(), back.attributes());
    assert_eq!(object.lifecycle(), back.lifecycle());
    let _ = object.size();
}

/// Reads a policy of each kind, and decides by what can be read. How many could be.
pub fn policy(bytes: &[u8]) -> usize {
    let Ok(text) = std::str::from_utf8(bytes) else { return 0 };
    let account = "111122223333";
    let arn = "arn:aws:kms:us-east-1:111122223333:key/0d990263-018e-4e65-a703-eff731de951e";
    let mut caller = Caller::assumed_role(account, "Producer", "web", "AROAPRODUCEREXAMPLE1");
    caller.tags = vec![("team".into(), "*".repeat(256))];
    let read = |kind| Document::parse(kind, text).ok();
    let own = read(DocumentKind::Identity).map(Arc::new);
    let (key, trust) = (read(DocumentKind::Key), read(DocumentKind::Trust));
    let count =
        [own.is_some(), key.is_some(), trust.is_some()].into_iter().filter(|is| *is).count();
    caller.policies.extend(own.map(|document| NamedPolicy { name: "own".into(), document }));
    let context = Context::new(&caller, UNIX_EPOCH)
        .with("aws:SourceIp", ["203.0.113.5"])
        .with("kms:RequestAlias", [format!("alias/{}", "a".repeat(250))])
        .with("aws:TagKeys", (0..50).map(|tag| tag.to_string().repeat(64)));
    for action in [Action::GenerateMac, Action::CreateKey, Action::AssumeRole] {
        let request = Request { caller: &caller, action, context: &context };
        let _ = request.on_account();
        if let Some(policy) = &key {
            let key = KeyFacts { account, arn, policy, grants: &[] };
            let decision = request.on_key(&key);
            assert!(decision.allowed || !request.refusal(arn, &decision.because).is_empty());
            let _ = request.check_lockout(&key);
        }
        if let Some(trust) = &trust {
            let _ = request.on_role(&RoleFacts { account, arn, trust });
        }
    }
    count
}

/// Shows, follows and verifies an audit trail of one segment with this content and, behind
/// a line of one byte 0x1e, a checkpoint; goes on with it, signs it and verifies it once more.
/// Whether nothing was wrong with it: then nothing may be later.
pub fn audit(bytes: &[u8]) -> bool {
    const SERIAL: &str = "0011223344556677";
    let separator = b"\x1e\n";
    let at = bytes.windows(separator.len()).position(|part| part == separator);
    let (segment, note) = match at {
        Some(at) => (&bytes[..at], Some(&bytes[at + separator.len()..])),
        None => (bytes, None),
    };
    let directory = tempfile::tempdir().unwrap();
    let put = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    put("20261124T015653123Z-0123456789abcdef.jsonl", segment);
    if let Some(note) = note {
        put("checkpoint", note);
    }
    let archive = Archive::in_directory(directory.path().to_owned());
    let key = SigningKey::from_secret(&SecretBytes::copied(&[7; 32])).unwrap();
    let verifier = key.verifier(SERIAL);
    let mut follower = archive.follow().unwrap();
    archive.visit(None, &mut |_| Ok(())).unwrap();
    let is_sound = |held: &[Held]| {
        let report = archive.verify(Some(&verifier), held).unwrap();
        let found: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
        (found.is_empty(), found)
    };
    let (was_sound, _) = is_sound(&[]);
    // Of the same day: gone on with if it is whole.
    let clock = Arc::new(ManualClock::new(UNIX_EPOCH + Duration::from_secs(1_795_490_000)));
    let (entropy, log) = (Arc::new(OsEntropy), Arc::new(NoLog));
    let surroundings = audit::Surroundings { entropy, clock, log };
    let scope = Scope::of(SERIAL, Home::DEFAULT);
    let settings = audit::Settings { required: true, ..audit::Settings::DEFAULT };
    let trail = Trail::in_directory(directory.path().to_owned(), scope, surroundings, settings);
    let event = audit::Event::new("kms:CreateKey", audit::Identity::Root);
    trail.record(&event).unwrap();
    let note = trail.checkpoint(&key, Cover::All, Duration::ZERO).unwrap().unwrap();
    trail.record(&event).unwrap();
    let (is_sound, found) = is_sound(&[Held { name: "kept".into(), note }]);
    assert!(is_sound || !was_sound, "{found:?}");
    let mut seen = 0;
    follower
        .look(&mut |_| {
            seen += 1;
            Ok(())
        })
        .unwrap();
    assert!(seen >= 2, "{seen}");
    was_sound
}
