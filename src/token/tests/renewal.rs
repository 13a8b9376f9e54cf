//! Credentials that a login brings up to date.

use super::wrapped::WrappedPlace;
use super::*;

const USER: UserType = UserType::User;
const SO: UserType = UserType::SecurityOfficer;
const DEARER: PinParameters = PinParameters { memory_kib: 16, iterations: 2, lanes: 1 };

/// The token as a process opens it whose configuration asks for another cost.
fn open_at(world: &World, pin_parameters: PinParameters) -> Token {
    let settings = Settings { pin_parameters, ..settings() };
    Token::open(&*world.other_place(), SLOT, &world.surroundings(), settings).unwrap()
}

fn cost(token: &Token, user: UserType) -> PinParameters {
    let info = token.info().unwrap();
    if user == SO { info.security_officer.cost.unwrap() } else { info.user.cost.unwrap() }
}

/// A token with one key, as version 0.1.0 left it; nobody is logged in.
fn outdated(world: &World) -> Token {
    let token = world.create_for_user();
    insert(&token, key("k", true, &[]));
    outdate(&token, "so", SO_PIN);
    outdate(&token, "user", USER_PIN);
    assert_eq!(token.check().unwrap().findings, []);
    token.logout().unwrap();
    token
}

#[test]
fn a_login_renews_the_own_credential_of_the_first_format() {
    each_place(|world| {
        let token = outdated(world);
        assert_eq!(token.login(USER, &pin(SO_PIN)), Err(Error::PinIncorrect));
        assert!(is_outdated(&token, "user"), "a wrong PIN renews nothing");
        for (user, name, right) in [(USER, "user", USER_PIN), (SO, "so", SO_PIN)] {
            assert!(is_outdated(&token, name));
            for _ in 0..2 {
                token.login(user, &pin(right)).unwrap();
                assert!(!is_outdated(&token, name));
                token.logout().unwrap();
            }
        }
        let token = world.open_for_user();
        assert_eq!(found(&token, &[]), ["k"]);
        assert_eq!(token.check().unwrap().findings, []);
        assert_eq!(token.info().unwrap().user.failures, 0);
    });
}

#[test]
fn a_changed_pin_is_stored_in_the_second_format() {
    each_place(|world| {
        let token = outdated(world);
        token.set_pin(USER, &pin(USER_PIN), &pin(b"changed")).unwrap();
        assert!(!is_outdated(&token, "user"));
        token.login(USER, &pin(b"changed")).unwrap();
        assert_eq!(found(&token, &[]), ["k"]);
    });
}

#[test]
fn a_login_raises_the_cost_of_its_pin_to_what_is_configured_and_never_lowers_it() {
    each_place(|world| {
        world.create();
        let cheap = settings().pin_parameters;
        let token = open_at(world, DEARER);
        assert_eq!(token.login(USER, &pin(b"wrong")), Err(Error::PinIncorrect));
        assert_eq!((cost(&token, USER), cost(&token, SO)), (cheap, cheap));
        token.login(USER, &pin(USER_PIN)).unwrap();
        assert_eq!((cost(&token, USER), cost(&token, SO)), (DEARER, cheap));
        assert_eq!(token.check().unwrap().findings, []);

        let token = world.open_for_user();
        assert_eq!(cost(&token, USER), DEARER);
        token.logout().unwrap();
        token.set_pin(USER, &pin(USER_PIN), &pin(b"changed")).unwrap();
        assert_eq!(cost(&token, USER), cheap, "a new PIN costs what is configured");
    });
}

#[test]
fn both_are_renewed_at_once() {
    let world = World::in_memory();
    outdated(&world);
    let token = open_at(&world, DEARER);
    token.login(USER, &pin(USER_PIN)).unwrap();
    assert!(!is_outdated(&token, "user"));
    assert_eq!(cost(&token, USER), DEARER);
}

#[test]
fn a_renewal_that_cannot_be_is_no_reason_not_to_log_in() {
    each_place(|world| {
        outdated(world);
        let refusals: [fn(&WrappedPlace); 2] =
            [|place| place.store.make_read_only(), |place| place.store.fill()];
        for refuse in refusals {
            let place = WrappedPlace::new(world);
            let token = place.open(world, Settings { pin_parameters: DEARER, ..settings() });
            refuse(&place);
            token.login(USER, &pin(USER_PIN)).unwrap();
            assert_eq!(found(&token, &[]), ["k"]);
            assert!(is_outdated(&token, "user"));
            assert_eq!(cost(&token, USER), settings().pin_parameters);
        }
    });
}

#[test]
fn of_many_first_logins_at_once_each_succeeds() {
    each_place(|world| {
        outdated(world);
        let tokens: Vec<_> = (0..8).map(|_| world.open()).collect();
        std::thread::scope(|scope| {
            for token in &tokens {
                scope.spawn(|| token.login(USER, &pin(USER_PIN)).unwrap());
            }
        });
        for token in &tokens {
            assert_eq!(found(token, &[]), ["k"]);
        }
        assert_eq!(tokens[0].check().unwrap().findings, []);
    });
}

#[test]
fn a_credential_whose_public_key_was_exchanged_is_damaged_and_its_pin_no_wrong_one() {
    each_place(|world| {
        let token = world.create();
        let user = record_id("user").unwrap();
        let record = token.store.get(CREDENTIAL, &user).unwrap().unwrap();
        // Its last byte belongs to the seal.
        let mut body = record.body.clone();
        *body.last_mut().unwrap() ^= 1;
        let tags = Vec::new();
        let (kind, expected) = (CREDENTIAL, record.version);
        let change = Change::Put { kind, id: user, expected, body, tags };
        token.store.write(&mut |_| Ok(vec![change.clone()])).unwrap();
        for _ in 0..=settings().pin_attempts {
            let refused = token.login(USER, &pin(USER_PIN));
            assert_eq!(refused, Err(Error::RecordDamaged("user".into())));
        }
        assert_eq!(token.info().unwrap().user.failures, 0);
        token.login(SO, &pin(SO_PIN)).unwrap();
    });
}
