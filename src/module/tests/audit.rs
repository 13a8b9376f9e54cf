//! What the audit trail says of what an application does.

use super::*;
use crate::audit::{MacMode, Read, Settings};
use crate::error::Error;
use serde_json::Value;

/// A module whose trail says this of MAC operations, with a token.
fn recording(mac: MacMode) -> Module {
    let place = place();
    ready_on(&place);
    module_with(&place, &Config { audit: Settings { mac, ..Settings::DEFAULT }, ..config() })
}

/// The records of the token in the first slot.
fn lines(module: &Module) -> Vec<String> {
    let mut lines = Vec::new();
    let take = &mut |read: Read<'_>| {
        let Read::Record(_, line) = read else { panic!("{read:?}") };
        lines.push(line.to_owned());
        Ok(())
    };
    module.audit_trail(SLOT).unwrap().0.visit(None, take).unwrap();
    lines
}

/// Those of this action.
fn of(module: &Module, action: &str) -> Vec<Value> {
    let all = lines(module).into_iter().map(|line| serde_json::from_str(&line).unwrap());
    all.filter(|record: &Value| record["eventName"] == action).collect()
}

/// What was done, who did it and how it ended.
fn history(module: &Module) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("ok").to_owned();
    let told = |line: &String| {
        let record: Value = serde_json::from_str(line).unwrap();
        let who = text(&record["userIdentity"]["type"]);
        (text(&record["eventName"]), who, text(&record["errorCode"]))
    };
    let own = |told: &(String, String, String)| told.0.ends_with("AuditSegment");
    lines(module).iter().map(told).filter(|told| !own(told)).collect()
}

#[test]
fn what_administers_a_token_is_recorded_with_who_did_it_and_how_it_ended() {
    let module = module_on(&place());
    module.init_token(SLOT, &pin(SO_PIN), "token").unwrap();
    let session = module.open_session(SLOT, true).unwrap();
    module.login(session, SO, &pin(SO_PIN)).unwrap();
    module.init_pin(session, &pin(USER_PIN)).unwrap();
    module.logout(session).unwrap();
    module.login(session, USER, &pin(b"wrong-pin")).unwrap_err();
    module.login(session, USER, &pin(USER_PIN)).unwrap();
    module.set_pin(session, &pin(b"wrong-pin"), &pin(b"another")).unwrap_err();
    let made = token_key(&module, session);
    module.set_attributes(session, made, &raw(&[(AttributeType::Label, b"a \"b\"")])).unwrap();
    let copy = module.copy_object(session, made, &[]).unwrap();
    read(&module, session, copy, AttributeType::Value).unwrap_err();
    module.destroy_object(session, copy).unwrap();
    module.rotate_root_key(session).unwrap();
    module.check_token(session).unwrap();
    // A session's own key is its own affair.
    let own = key(&module, session, &[]);
    module.destroy_object(session, own).unwrap();
    module.close_session(session).unwrap();
    let [so, root, public, ok] = ["SecurityOfficer", "Root", "Public", "ok"];
    let expected = [
        ("InitializeToken", so, ok),
        ("Login", so, ok),
        ("InitializePin", so, ok),
        ("Logout", so, ok),
        ("Login", public, "PinIncorrect"),
        ("Login", root, ok),
        ("ChangePin", root, "PinIncorrect"),
        ("ImportObject", root, ok),
        ("UpdateAttributes", root, ok),
        ("CopyKey", root, ok),
        ("ReadValue", root, "AttributeSensitive"),
        ("DestroyKey", root, ok),
        ("RotateRootKey", root, ok),
        ("CheckToken", root, ok),
        ("Logout", root, ok),
    ];
    let expected = expected.map(|(what, who, how)| (what.into(), who.into(), how.into()));
    assert_eq!(history(&module), expected);
    let changed = &of(&module, "UpdateAttributes")[0];
    assert_eq!(changed["requestParameters"]["attributes"], serde_json::json!(["CKA_LABEL"]));
    let (archive, verifier) = module.audit_trail(SLOT).unwrap();
    let report = archive.verify(verifier.as_ref(), &[]).unwrap();
    assert_eq!((report.findings.len(), report.checkpoints.len()), (0, 1), "{report:?}");
}

#[test]
fn macs_are_counted_by_key_and_session_until_the_session_ends() {
    let module = recording(MacMode::Summary);
    let [one, two] = [(); 2].map(|()| module.open_session(SLOT, true).unwrap());
    module.login(one, USER, &pin(USER_PIN)).unwrap();
    let made = token_key(&module, one);
    for _ in 0..3 {
        assert_signs(&module, one, made);
    }
    assert_signs(&module, two, made);
    module.mac_init(two, Signing::Verify, mechanism(HMAC), made).unwrap();
    assert_eq!(module.verify(two, QUESTION, &[0; 32]), Err(Error::SignatureInvalid));
    module.mac_init(two, Signing::Verify, mechanism(HMAC), made).unwrap();
    assert_eq!(module.verify(two, QUESTION, &[0; 3]), Err(Error::SignatureLenRange));
    assert_eq!(of(&module, "GenerateMac").len(), 0, "nothing yet");
    module.close_session(two).unwrap();
    let [made_once] = &of(&module, "GenerateMac")[..] else { panic!("one for the session") };
    assert_eq!(made_once["additionalEventData"]["succeeded"], 1);
    assert_eq!(made_once["userIdentity"]["type"], "Root");
    let id = read(&module, one, made, AttributeType::UniqueId).unwrap();
    let arn = format!("arn:aws:kms:us-east-1:000000000000:key/{}", String::from_utf8(id).unwrap());
    assert_eq!(made_once["resources"][0]["ARN"], arn);
    let [verified] = &of(&module, "VerifyMac")[..] else { panic!("one for the session") };
    let counts = serde_json::json!({
        "summary": true,
        "succeeded": 0,
        "failed": 2,
        "failures": [
            { "errorCode": "SignatureInvalid", "count": 1 },
            { "errorCode": "SignatureLenRange", "count": 1 },
        ],
    });
    assert_eq!(verified["additionalEventData"], counts);
    // At logout, by whoever was logged in.
    module.logout(one).unwrap();
    let made = of(&module, "GenerateMac");
    assert_eq!(made[1]["additionalEventData"]["succeeded"], 3);
    assert_eq!(made[1]["userIdentity"]["type"], "Root");
}

#[test]
fn many_macs_are_recorded_now_and_then() {
    let module = recording(MacMode::Summary);
    let session = user_session(&module);
    let made = token_key(&module, session);
    for _ in 0..=65_536 {
        sign(&module, session, made, b"").unwrap();
    }
    let [so_far] = &of(&module, "GenerateMac")[..] else { panic!("once") };
    assert_eq!(so_far["additionalEventData"]["succeeded"], 65_536);
}

#[test]
fn each_mac_is_recorded_or_none_if_that_is_asked() {
    for mode in [MacMode::Each, MacMode::Off] {
        let module = recording(mode);
        let session = user_session(&module);
        let made = token_key(&module, session);
        assert_signs(&module, session, made);
        module
            .mac_init(session, Signing::VerifySignature(&[0; 32]), mechanism(HMAC), made)
            .unwrap();
        module.verify_signature(session, QUESTION).unwrap_err();
        // Asking for the length ends nothing.
        sign_init(&module, session, made).unwrap();
        module.sign(session, QUESTION, Room::Query).unwrap();
        module.mac_update(session, Purpose::Sign, QUESTION).unwrap();
        module.sign_final(session, ROOM).unwrap();
        let no_verify = key(&module, session, &[(AttributeType::Verify, FALSE)]);
        let refused = module.mac_init(session, Signing::Verify, mechanism(HMAC), no_verify);
        assert_eq!(refused, Err(Error::KeyFunctionNotPermitted));
        module.close_session(session).unwrap();
        let (made, verified) = (of(&module, "GenerateMac"), of(&module, "VerifyMac"));
        if mode == MacMode::Off {
            assert_eq!((made.len(), verified.len()), (0, 0));
            continue;
        }
        assert!(made.len() == 2 && made.iter().all(|record| record.get("errorCode").is_none()));
        let codes: Vec<_> = verified.iter().map(|record| &record["errorCode"]).collect();
        assert_eq!(codes, ["SignatureInvalid", "KeyFunctionNotPermitted"]);
        assert!(verified[1].get("resources").is_none(), "it is a session's");
    }
}

#[test]
fn no_secret_ever_stands_in_the_trail() {
    let module = recording(MacMode::Each);
    let session = module.open_session(SLOT, true).unwrap();
    let new_pin: &[u8] = b"new-pin-8817";
    module.login(session, USER, &pin(b"wrong-pin-4471")).unwrap_err();
    module.login(session, USER, &pin(USER_PIN)).unwrap();
    module.set_pin(session, &pin(USER_PIN), &pin(new_pin)).unwrap();
    let value = b"a key whose value is known to us";
    let extractable = [
        (AttributeType::Token, TRUE),
        (AttributeType::Sensitive, FALSE),
        (AttributeType::Extractable, TRUE),
        (AttributeType::Label, b"label"),
    ];
    let mut template = extractable.to_vec();
    template.push((AttributeType::Id, b"id-5"));
    let (class, kind) = (ck(ObjectClass::SecretKey.to_ck()), ck(KeyType::GenericSecret.to_ck()));
    template.push((AttributeType::Class, &class));
    template.push((AttributeType::KeyType, &kind));
    template.push((AttributeType::Value, value));
    let made = module.create_object(session, &raw(&template)).unwrap();
    assert_eq!(read(&module, session, made, AttributeType::Value).unwrap(), value);
    let message = b"a message that is nobody's business";
    let mac = sign(&module, session, made, message).unwrap();
    module.mac_init(session, Signing::Verify, mechanism(HMAC), made).unwrap();
    module.verify(session, message, &mac).unwrap();
    // What a template holds that is refused.
    module.set_attributes(session, made, &raw(&[(AttributeType::Value, value)])).unwrap_err();
    module.close_session(session).unwrap();
    let trail = lines(&module).concat();
    assert!(trail.contains("\"ReadValue\"") && trail.contains("\"GenerateMac\""), "{trail}");
    let secrets: [&[u8]; 7] = [SO_PIN, USER_PIN, new_pin, b"wrong-pin-4471", value, message, &mac];
    for secret in secrets {
        let numbers = secret.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
        let base64 = <base64ct::Base64 as base64ct::Encoding>::encode_string(secret);
        for form in [String::from_utf8_lossy(secret).into_owned(), hex(secret), numbers, base64] {
            assert!(!trail.contains(&form), "{form}");
        }
    }
}
