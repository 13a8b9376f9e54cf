//! The example of docs/policies.md in a token: one key for JSON Web Tokens, one policy,
//! and those who make and verify tokens with it.

#![allow(dead_code)]

use signet_pkcs11::clock::SystemClock;
use signet_pkcs11::config::Config;
use signet_pkcs11::entropy::OsEntropy;
use signet_pkcs11::log::NoLog;
use signet_pkcs11::module::Module;
use signet_pkcs11::object::KeySpec;
use signet_pkcs11::object::kms::NewKey;
use signet_pkcs11::secret::Pin;
use signet_pkcs11::store::DirectoryPlace;
use signet_pkcs11::token::Surroundings;
use signet_pkcs11::types::UserType;
use std::path::Path;
use std::sync::Arc;

use crate::client::Client;

/// The key of RFC 7515, appendix A.1.1, in hexadecimal.
pub const KEY: &str = "0323354b2b0fa5bc837e0665777ba68f5ab328e6f054c928a90f84b2d2502ebf\
                       d3fb5a92d20647ef968ab4c377623d223d2e2172052e4f08c0cd9af567d080a3";

/// The token that is made with it there.
pub const TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
     .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
     .dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// The named users. Their PINs are their names with `-pin` behind.
pub const USERS: [&str; 3] = ["producer", "consumer", "third"];

const ACCOUNT: &str = "arn:aws:iam::000000000000";

/// A token `demo` with the users, the key `jwt` and its policy, which names the users
/// themselves.
pub fn of_users() -> Client {
    let client = with_key();
    let roles = [("role/JwtProducer", "user/producer"), ("role/JwtConsumer", "user/consumer")];
    put_policy(
        &client,
        &roles.iter().fold(policy(), |text, (role, user)| text.replace(role, user)),
    );
    client
}

/// The same with the policy as it stands there, and the roles that it names: each is
/// trusted to one of the users.
pub fn of_roles() -> Client {
    let client = with_key();
    for (role, user) in [("JwtProducer", "producer"), ("JwtConsumer", "consumer")] {
        let trust = serde_json::json!({
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Principal": { "AWS": format!("{ACCOUNT}:user/{user}") },
                "Action": "sts:AssumeRole",
            },
        });
        client.write("trust.json", trust.to_string());
        client.administer(&format!("role add {role} --trust trust.json")).ok();
    }
    put_policy(&client, &policy());
    client
}

fn with_key() -> Client {
    let client = Client::signet();
    client.init_token("87654321", "123456");
    for user in USERS {
        client.write("pin", format!("{user}-pin\n"));
        client.administer(&format!("user add {user} --user-pin-file pin")).ok();
    }
    client.write("key", KEY);
    client.administer("key import --key jwt --file key --hex").ok();
    client
}

/// The policy that docs/policies.md shows.
pub fn policy() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policies.md");
    let page = std::fs::read_to_string(page).unwrap();
    page.split("```json\n").nth(1).unwrap().split("```").next().unwrap().to_owned()
}

/// Replaces the policy of the key.
pub fn put_policy(client: &Client, text: &str) {
    client.write("policy.json", text);
    client.administer("key policy put --key jwt policy.json").ok();
}

/// Makes a key as the KMS API does, for whose account the owner acts.
pub fn make_kms_key(client: &Client) -> String {
    let directory = client.token_directory();
    let entropy = Arc::new(OsEntropy);
    let place = Arc::new(DirectoryPlace::new(&directory, entropy.clone()));
    let surroundings = Surroundings { entropy, clock: Arc::new(SystemClock), log: Arc::new(NoLog) };
    let module = Module::new(place, surroundings, &Config::with_token_dir(directory)).unwrap();
    let slot = module.slot_list().unwrap()[0];
    let session = module.open_session(slot, true).unwrap();
    module.login(session, UserType::User, &Pin::copied(b"123456")).unwrap();
    let (token, owner) = module.token_of(session).unwrap();
    let key = token.create_kms_key(owner, NewKey::new(KeySpec::Hmac256), false).unwrap();
    key.id().to_owned()
}
