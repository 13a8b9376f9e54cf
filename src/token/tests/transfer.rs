//! Objects that leave a token and come into another, and the transport key.

use super::*;
use crate::object::codec;
use crate::token::record::TRANSPORT;

/// Everything of every object, and whether it is bound, in the order they come.
fn all(token: &Token) -> Vec<(bool, Vec<u8>)> {
    let mut all = Vec::new();
    let everything = token.export(token.principal(), &mut |live| {
        let live = live?;
        all.push((live.is_bound(), codec::encode(live.object(), true)?.expose().to_vec()));
        Ok(())
    });
    everything.unwrap();
    all
}

/// A token with an object of each sort, its owner logged in.
fn filled(world: &World) -> Token {
    let token = world.create_for_user();
    token.logout().unwrap();
    insert(&token, data("unbound", false));
    token.login(UserType::User, &pin(USER_PIN)).unwrap();
    for object in [key("a", true, &[]), key("b", false, &[]), data("c", true), data("d", false)] {
        insert(&token, object);
    }
    token
}

/// Seals all that `token` exports for another token.
fn hand_over(token: &Token, sealed: &mut Sealed) {
    let each = token.export(token.principal(), &mut |live| {
        let live = live?;
        sealed.add(live.object(), live.is_bound())
    });
    each.unwrap();
}

fn restore(token: &Token, from: &Token, skip_existing: bool) -> Result<Restored> {
    let mut sealed = token.sealed(token.principal()).unwrap();
    hand_over(from, &mut sealed);
    token.restore(sealed, skip_existing)
}

#[test]
fn a_new_token_has_everything_of_the_old_one_and_another_serial() {
    each_place(|world| {
        let token = filled(world);
        let surroundings = world.surroundings();
        let (so_pin, user_pin) = (pin(b"another so pin"), pin(b"another pin"));
        let new = NewToken { label: "new", so_pin: &so_pin, user_pin: Some(&user_pin) };
        let mut new = Draft::new(new, &surroundings, settings()).unwrap();
        hand_over(&token, &mut new.objects);
        assert_eq!(new.objects.len(), 5);
        assert_eq!(
            new.create(&*world.place, SLOT).unwrap_err(),
            Error::SlotIdInvalid(SLOT),
            "the slot is taken, and another can be tried"
        );
        let made = new.create(&*world.place, SlotId(4)).unwrap();
        assert_ne!(made.info().unwrap().serial, token.info().unwrap().serial);
        made.login(UserType::User, &user_pin).unwrap();
        assert_eq!(all(&made), all(&token));
        assert_eq!(all(&made).iter().filter(|(bound, _)| !bound).count(), 1);
        assert_eq!(found(&made, &[(AttributeType::Label, b"a")]), ["a"]);
        assert_eq!(made.check().unwrap().findings, []);
    });
}

#[test]
fn objects_come_into_a_token_all_at_once_or_not_at_all() {
    each_place(|world| {
        let other = World::in_memory();
        let from = filled(&other);
        let token = world.create_for_user();
        let own = insert(&token, key("own", true, &[]));
        let before = token.store().sequence().unwrap();
        assert_eq!(restore(&token, &from, false), Ok(Restored { added: 5, skipped: 0 }));
        assert_eq!(token.store().sequence().unwrap().0, before.0 + 1, "one commit");
        assert_eq!(token.check().unwrap().findings, []);
        assert_eq!(all(&token).len(), 6);
        assert!(get(&token, &id_of(&own)).is_some());

        // Again: all of them are there, and one is not any more.
        let gone = found_one(&token, "b");
        token.remove(token.principal(), &gone).unwrap().unwrap();
        let before = all(&token);
        let refused = restore(&token, &from, false).unwrap_err();
        let Error::UniqueIdTaken { first, others: 3 } = refused else { panic!("{refused:?}") };
        assert!(get(&token, &first).is_some());
        assert_eq!(all(&token), before, "nothing was added");
        assert_eq!(restore(&token, &from, true), Ok(Restored { added: 1, skipped: 4 }));
        assert_eq!(all(&token).len(), 6);
        assert_eq!(token.check().unwrap().findings, []);
    });
}

/// The one object of this label.
fn found_one(token: &Token, label: &str) -> Arc<LiveObject> {
    let query = query(&[(AttributeType::Label, label.as_bytes())]);
    let found = find_all(token, query).unwrap();
    assert_eq!(found.len(), 1);
    get(token, &found[0].unique_id).unwrap()
}

/// Private and public objects share their names: a public object does not come in
/// under the name of a private one.
#[test]
fn a_unique_id_is_taken_whatever_the_visibility() {
    let (world, other) = (World::in_memory(), World::in_memory());
    let (token, from) = (world.create_for_user(), other.create_for_user());
    let private = insert(&token, data("private", true));
    let mut sealed = token.sealed(token.principal()).unwrap();
    let id = id_of(&private);
    let public = insert(&from, data("public", false));
    let changes = crate::object::request::Changes::copy(public.object(), &[], false).unwrap();
    let public = changes.copied(public.object(), id.clone(), UNIX_EPOCH);
    assert!(!public.is_private());
    sealed.add(&public, true).unwrap();
    let refused = token.restore(sealed, false).unwrap_err();
    assert_eq!(refused, Error::UniqueIdTaken { first: id, others: 0 });
}

#[test]
fn what_is_not_bound_stays_open_to_a_public_session() {
    let (world, other) = (World::in_memory(), World::in_memory());
    let token = world.create_for_user();
    restore(&token, &filled(&other), false).unwrap();
    token.logout().unwrap();
    relabel(&token, &found_one(&token, "unbound"), "changed").unwrap().unwrap();
    assert_eq!(
        relabel(&token, &found_one(&token, "d"), "changed").unwrap_err(),
        Error::UserNotLoggedIn
    );
    token.login(UserType::User, &pin(USER_PIN)).unwrap();
    assert_eq!(token.check().unwrap().findings, []);
}

#[test]
fn an_export_is_of_one_moment_while_others_write() {
    let world = World::in_directory();
    let token = filled(&world);
    let other = world.open_for_user();
    let before = all(&token);
    let mut seen = 0;
    let exported = token.export(token.principal(), &mut |_| {
        seen += 1;
        insert(&other, key("made meanwhile", true, &[]));
        Ok(())
    });
    exported.unwrap();
    assert_eq!(seen, before.len());
    assert_eq!(all(&token).len(), 2 * before.len());
}

#[test]
fn only_the_owner_backs_up_restores_and_receives() {
    let world = World::in_memory();
    let token = filled(&world);
    token.logout().unwrap();
    for login in [None, Some((UserType::SecurityOfficer, SO_PIN))] {
        if let Some((user, so_pin)) = login {
            token.login(user, &pin(so_pin)).unwrap();
        }
        let principal = token.principal();
        assert_eq!(token.export(principal, &mut |_| panic!()), Err(Error::UserNotLoggedIn));
        assert_eq!(token.sealed(principal).err(), Some(Error::UserNotLoggedIn));
        assert_eq!(token.transport_key(principal), Err(Error::UserNotLoggedIn));
    }
    // Whoever was the owner when they began and is not any more.
    assert_eq!(token.export(Principal::Owner, &mut |_| panic!()), Err(Error::UserNotLoggedIn));
}

#[test]
fn a_transport_key_is_made_once_and_stays() {
    each_place(|world| {
        let token = world.create_for_user();
        let other = world.open_for_user();
        let owner = Principal::Owner;
        assert!(token.transport_private(owner).unwrap().is_none());
        assert_eq!(token.claimed_transport_key().unwrap(), None);
        let public = token.transport_key(owner).unwrap();
        assert_eq!(token.transport_key(owner).unwrap(), public);
        assert_eq!(other.transport_key(owner).unwrap(), public);
        assert_eq!(token.transport_private(owner).unwrap().unwrap().public(), public);
        assert_eq!(other.claimed_transport_key().unwrap(), Some(public));
        assert_eq!(token.check().unwrap().findings, []);
        token.logout().unwrap();
        other.logout().unwrap();
        token.reinitialize("emptied", &pin(SO_PIN)).unwrap();
        assert_eq!(token.claimed_transport_key().unwrap(), None);
    });
}

#[test]
fn an_exchanged_transport_key_is_noticed() {
    let world = World::in_memory();
    let token = world.create_for_user();
    let other = World::in_memory().create_for_user();
    other.transport_key(Principal::Owner).unwrap();
    token.transport_key(Principal::Owner).unwrap();
    let id = RecordId::new("x25519").unwrap();
    let foreign = other.store().get(TRANSPORT, &id).unwrap().unwrap().body;
    let exchange =
        Change::Put { kind: TRANSPORT, id, expected: 1, body: foreign, tags: Vec::new() };
    token.store().write(&mut |_| Ok(vec![exchange.clone()])).unwrap();
    let damaged = Error::RecordDamaged("x25519".into());
    assert_eq!(token.transport_key(Principal::Owner), Err(damaged));
    let findings = token.check().unwrap().findings;
    assert!(findings.iter().any(|finding| finding.id == "x25519"), "{findings:?}");
}

#[test]
fn backups_go_on_and_the_transport_key_stays_when_the_root_key_is_replaced() {
    each_place(|world| {
        let (token, owner) = (filled(world), Principal::Owner);
        let other = world.open_for_user();
        let public = token.transport_key(owner).unwrap();
        let (before, own) = (all(&token), World::in_memory());
        let mut sealed = other.sealed(owner).unwrap();
        hand_over(&filled(&own), &mut sealed);
        token.rotate_root_key(owner).unwrap();
        assert_eq!(other.restore(sealed, false), Err(Error::RootKeyReplaced));
        assert_eq!(all(&other), before);
        assert_eq!(other.transport_key(owner).unwrap(), public);
        assert_eq!(token.transport_key(owner).unwrap(), public);
        assert_eq!(token.check().unwrap().findings, []);
    });
}
