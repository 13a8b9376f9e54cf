//! What the fuzz targets and the replay of their corpus do with hostile bytes: any
//! answer will do, but no panic, no endless loop and no allocation that the bytes
//! do not account for.

#![allow(dead_code, clippy::unwrap_used, reason = "whoever includes this needs a part of it")]

use signet_pkcs11::clock::SystemClock;
use signet_pkcs11::config::Config;
use signet_pkcs11::entropy::OsEntropy;
use signet_pkcs11::error::Result;
use signet_pkcs11::log::NoLog;
use signet_pkcs11::module::Module;
use signet_pkcs11::object::codec;
use signet_pkcs11::policy::{
    Action, Caller, Context, Document, DocumentKind, KeyFacts, NamedPolicy, Request, RoleFacts,
};
use signet_pkcs11::secret::Pin;
use signet_pkcs11::store::DirectoryPlace;
use signet_pkcs11::token::Surroundings;
use signet_pkcs11::types::{AttributeType, SessionHandle, SlotId, UserType};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

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
