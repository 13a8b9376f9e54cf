//! Roles as records.

use super::*;

const OWNER: Principal = Principal::Owner;

#[test]
fn roles_are_added_changed_and_removed() {
    each_place(|world| {
        let token = with_bob(world);
        // A user and a role may have one name.
        let made = token.add_role(OWNER, &name("Bob"), TRUST).unwrap();
        assert!(made.entity.unique_id.starts_with("AROA") && made.entity.unique_id.len() == 21);
        assert_eq!((&*made.trust, made.session_seconds), (TRUST, 3600));
        let taken = token.add_role(OWNER, &name("bob"), TRUST);
        assert_eq!(taken, Err(Error::EntityExists("role bob".into())));
        let role = || world.open_for_user().role(OWNER, &name("BOB"));
        assert_eq!(role().unwrap(), made);

        let identity = Identity::Role(name("bob"));
        let trust = TRUST.replace("\"*\"", "{\"AWS\":\"000000000000\"}");
        token.put_trust_policy(OWNER, &name("bob"), &trust).unwrap();
        token.set_role_session(OWNER, &name("bob"), 43_200).unwrap();
        token.put_identity_policy(OWNER, &identity, "p", POLICY).unwrap();
        token.tag_identity(OWNER, &identity, "k", "v").unwrap();
        token.set_identity_disabled(OWNER, &identity, true).unwrap();
        let changed = role().unwrap();
        assert_eq!((&*changed.trust, changed.session_seconds), (&*trust, 43_200));
        assert!(changed.entity.is_disabled);
        assert_eq!((&*changed.entity.policies["p"], &*changed.entity.tags["k"]), (POLICY, "v"));
        assert_eq!(changed.entity.unique_id, made.entity.unique_id);
        assert_eq!(token.roles(OWNER).unwrap(), [changed]);
        let user = token.user(OWNER, &name("bob")).unwrap();
        assert!(user.entity.policies.is_empty() && !user.entity.is_disabled);

        token.rotate_root_key(OWNER).unwrap();
        token.remove_role(OWNER, &name("bob")).unwrap();
        let unknown = Error::EntityUnknown("role BOB".into());
        assert_eq!(role(), Err(unknown));
        let gone = token.remove_role(OWNER, &name("bob"));
        assert_eq!(gone, Err(Error::EntityUnknown("role bob".into())));
        assert_eq!(token.check().unwrap().findings, []);
    });
}

#[test]
fn a_role_has_a_trust_policy_and_sessions_within_bounds() {
    let token = with_bob(&World::in_memory());
    for wrong in ["{}", POLICY, "no JSON"] {
        let refused = token.add_role(OWNER, &name("r"), wrong);
        assert!(matches!(refused, Err(Error::MalformedPolicy(_))), "{wrong}");
    }
    token.add_role(OWNER, &name("r"), TRUST).unwrap();
    let refused = token.put_trust_policy(OWNER, &name("r"), POLICY);
    assert!(matches!(refused, Err(Error::MalformedPolicy(_))));
    for wrong in [0, 3599, 43_201, u32::MAX] {
        let refused = token.set_role_session(OWNER, &name("r"), wrong);
        assert!(matches!(refused, Err(Error::ValidationFailed(_))), "{wrong}");
    }
    let role = token.role(OWNER, &name("r")).unwrap();
    assert_eq!((&*role.trust, role.session_seconds), (TRUST, 3600));
}
