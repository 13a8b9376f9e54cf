//! python-pkcs11, a client that wraps every object in Python classes, as a user of the
//! module. The scripts stand in `tests/python`; `make test` installs what they need.

#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "common/client.rs"]
mod client;
#[path = "common/jwt.rs"]
mod jwt;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use client::{Client, Outcome, signet_module};

/// A client of ours with a token that has both PINs.
fn token() -> Client {
    let client = Client::signet();
    client.init_token("87654321", "123456");
    client
}

/// The interpreter that `.ci/python` has made, beside the build that runs.
fn python() -> PathBuf {
    let target = signet_module().ancestors().nth(3).unwrap().to_owned();
    let python = target.join("python/bin/python");
    assert!(python.is_file(), "no {}: run `make test`, or `.ci/python`", python.display());
    python
}

/// A script of `tests/python` on the module.
fn script(client: &Client, name: &str) -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let mut command = client.command(python());
    // Leaves no compiled scripts behind in the sources.
    command.args(["-B".as_ref(), folder.join(name).as_os_str()]);
    command.env("MODULE", signet_module());
    command
}

#[test]
fn macs_are_those_of_python_s_own_hmac_and_refusals_have_names() {
    let name = "hmac_roundtrip.py";
    Outcome::of(name.to_owned(), &mut script(&token(), name)).ok().says("ok");
}

// ---- Who may do what ----

const FORBIDDEN: &str = "CKR_KEY_FUNCTION_NOT_PERMITTED";
const PROHIBITED: &str = "CKR_ACTION_PROHIBITED";

/// `jwt_roles.py`, which runs, logged in, while others change the token.
struct Service {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Service {
    fn start(client: &Client, pin: &str) -> Self {
        let mut command = script(client, "jwt_roles.py");
        command.arg(pin).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut service = Self { child, input, output };
        assert_eq!(service.answer(), "ready", "{pin}");
        service
    }

    fn named(client: &Client, user: &str) -> Self {
        Self::start(client, &format!("{user}:{user}-pin"))
    }

    /// What comes of a line of its input.
    fn does(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the service has ended");
        line.trim_end().to_owned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // timeout(1), which hands it on to the script.
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

#[test]
fn a_producer_s_tokens_are_those_of_any_implementation_and_only_the_consumer_checks_them() {
    let client = jwt::of_users();
    let (mut producer, mut consumer) =
        (Service::named(&client, "producer"), Service::named(&client, "consumer"));
    let token = producer.does("make alice");
    assert_eq!(token.split('.').count(), 3, "{token}");
    assert_eq!(token, producer.does(&format!("expect alice {}", jwt::KEY)));
    assert_eq!(producer.does(&format!("check {token}")), FORBIDDEN);
    assert_eq!(consumer.does(&format!("check {token}")), "alice");
    assert_eq!(consumer.does(&format!("check {}", jwt::TOKEN)), "joe");
    let forged = producer.does(&format!("expect alice {}", jwt::KEY.replace('a', "b")));
    assert_eq!(consumer.does(&format!("check {forged}")), "forged");
    assert_eq!(consumer.does("make alice"), FORBIDDEN);
    let mut third = Service::named(&client, "third");
    assert_eq!(
        (third.does("list"), third.does("make eve")),
        ("nothing".into(), "NoSuchKey".into())
    );
}

#[test]
fn a_role_s_policy_holds_for_who_has_taken_it() {
    let client = jwt::of_roles();
    let take = |role, user| Service::start(&client, &format!("role/{role}:{user}:{user}-pin"));
    let (mut producer, mut consumer) =
        (take("JwtProducer", "producer"), take("JwtConsumer", "consumer"));
    let token = producer.does("make alice");
    assert_eq!(producer.does(&format!("check {token}")), FORBIDDEN);
    assert_eq!(consumer.does(&format!("check {token}")), "alice");
    assert_eq!(consumer.does("make alice"), FORBIDDEN);
    client.administer("role disable JwtProducer").ok();
    assert_eq!(producer.does("make alice"), "UserNotLoggedIn");
    assert_eq!(consumer.does(&format!("check {token}")), "alice");
}

#[test]
fn a_policy_keeps_its_key_from_being_copied_changed_and_destroyed() {
    let client = jwt::of_users();
    for user in ["producer", "consumer"] {
        let mut service = Service::named(&client, user);
        for what in ["copy", "rename", "destroy"] {
            assert_eq!(service.does(what), PROHIBITED, "{user}: {what}");
        }
        assert_eq!(service.does("generate"), "FunctionFailed");
        assert_eq!(service.does("list"), "jwt");
    }
}

#[test]
fn a_key_of_the_kms_api_is_not_copied_changed_or_destroyed_even_by_the_owner() {
    let client = jwt::of_users();
    let id = jwt::make_kms_key(&client);
    let mut owner = Service::start(&client, "123456");
    assert_eq!(owner.does(&format!("use {id}")), "done");
    for what in ["copy", "rename", "destroy"] {
        assert_eq!(owner.does(what), PROHIBITED, "{what}");
    }
    let token = owner.does("make alice");
    assert_eq!(owner.does(&format!("check {token}")), "alice");
    client.administer(&format!("key disable --key {id}")).ok();
    assert_eq!(owner.does("make alice"), FORBIDDEN);
    client.administer(&format!("key enable --key {id}")).ok();
    assert_eq!(owner.does("make alice"), token);
}

#[test]
fn a_policy_that_changes_holds_at_the_next_operation_of_a_running_program() {
    let client = jwt::of_users();
    let mut producer = Service::named(&client, "producer");
    let token = producer.does("make alice");
    let reversed = jwt::policy()
        .replace("role/JwtProducer", "user/consumer")
        .replace("role/JwtConsumer", "user/producer");
    jwt::put_policy(&client, &reversed);
    assert_eq!(producer.does("make alice"), FORBIDDEN);
    assert_eq!(producer.does(&format!("check {token}")), "alice");
    let of_another = jwt::policy()
        .replace("role/JwtProducer", "user/third")
        .replace("role/JwtConsumer", "user/third");
    jwt::put_policy(&client, &of_another);
    assert_eq!(producer.does("list"), "nothing");
    assert_eq!(producer.does(&format!("check {token}")), "KeyHandleInvalid");
}

#[test]
fn a_user_who_is_disabled_is_logged_out_of_a_running_program() {
    let client = jwt::of_users();
    let (mut producer, mut consumer) =
        (Service::named(&client, "producer"), Service::named(&client, "consumer"));
    let token = producer.does("make alice");
    client.administer("user disable producer").ok();
    assert_eq!(producer.does("make alice"), "UserNotLoggedIn");
    assert_eq!(consumer.does(&format!("check {token}")), "alice");
    client.administer("user enable producer").ok();
    assert_eq!(Service::named(&client, "producer").does("make alice"), token);
}

#[test]
fn a_grant_holds_until_it_is_revoked_in_a_running_program() {
    let client = jwt::of_users();
    let mut third = Service::named(&client, "third");
    assert_eq!(third.does("list"), "nothing");
    let granted = client
        .administer("grant create --key jwt --grantee user/third --operation GenerateMac --operation DescribeKey")
        .ok();
    let id = granted.stdout.lines().find_map(|line| line.strip_prefix("grant:")).unwrap().trim();
    assert_eq!(third.does("list"), "jwt");
    let token = third.does("make alice");
    assert_eq!(Service::named(&client, "consumer").does(&format!("check {token}")), "alice");
    assert_eq!(third.does(&format!("check {token}")), FORBIDDEN);
    client.administer(&format!("grant revoke --key jwt --grant {id}")).ok();
    // Its handle is nothing to who may not know of the key.
    assert_eq!(third.does("make alice"), "KeyHandleInvalid");
    assert_eq!(third.does("list"), "nothing");
}
