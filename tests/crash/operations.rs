//! What is interrupted. One row each; a new command of `signet` is one line more.

use crate::common::*;
use cryptoki_sys::*;

/// The label of the token that is there beforehand.
pub const LABEL: &str = "demo";
/// The PIN that operations change the user's into.
pub const NEW_PIN: &str = "user-9876";
/// The PIN that operations change the SO's into.
pub const NEW_SO_PIN: &str = "officer-9876";
/// The PIN of every named user.
pub const NAMED_PIN: &str = "named-4116";
/// The label and the PINs of the old token.
pub const OLD: (&str, &str, &str) = ("fixture-1", "87654321", "1234");
/// The label of the key that operations change, copy or destroy.
pub const VICTIM: &str = "victim";
/// The label of the key that they must leave alone.
pub const BYSTANDER: &str = "bystander";

/// What is in the token directory beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scene {
    /// Nothing, not even the directory.
    Nothing,
    /// A token with both PINs, two keys and a data object; all programs have ended.
    Token,
    /// The same; the last program was killed, so that its log must be recovered.
    Killed,
    /// A token of schema 1, and with the credentials of that time; see
    /// `tests/fixtures/store-1`.
    Old,
    /// Tokens of SoftHSM2's in the folder `softhsm2`, and none of ours.
    Foreign,
    /// As `Token`, and beside it `token.backup`, sealed to it.
    BackedUp,
    /// As `Token`, but the list of its records was edited.
    Damaged,
    /// As `Token`, with a rollback counter beside it.
    Guarded,
    /// As `Token`, with a named user `bob`, who has an access key.
    Named,
    /// As `Token`, with a key that has an alias and a grant and whose deletion is due.
    Due,
}

/// Who does it.
#[derive(Clone, Copy)]
pub enum Deed {
    /// The C functions: `login` (or nobody) first, then this.
    Call { login: Option<CK_USER_TYPE>, act: fn(&Caller<'_>) -> Rv<String> },
    /// `signet`, with these arguments.
    Program(&'static [&'static str]),
}

/// A row of the table.
#[derive(Clone, Copy)]
pub struct Operation {
    pub name: &'static str,
    pub scene: Scene,
    pub deed: Deed,
    /// Whether the SO's PIN is tried afterwards, too.
    pub officer: bool,
    /// Whether the named users are looked at afterwards, too.
    pub named: bool,
    /// Whether the aliases and grants are, too.
    pub belongings: bool,
}

impl Operation {
    const fn and_the_officer(self) -> Self {
        Self { officer: true, ..self }
    }

    const fn and_the_named(self) -> Self {
        Self { named: true, ..self }
    }

    const fn and_belongings(self) -> Self {
        Self { belongings: true, ..self }
    }
}

/// The program as the C functions see it. `session` is there for a row with a login.
pub struct Caller<'m> {
    pub module: &'m Module,
    pub session: Option<Session<'m>>,
}

impl<'m> Caller<'m> {
    /// The session of a row with a login.
    pub fn session(&self) -> Session<'m> {
        self.session.expect("the row names who logs in")
    }

    /// The key with this label.
    pub fn key(&self, label: &str) -> CK_OBJECT_HANDLE {
        key(&self.session(), label).expect("C_FindObjects").expect("the key is there")
    }

    /// What proves that a key is there: its unique id and a MAC.
    fn proof(&self, key: CK_OBJECT_HANDLE) -> Rv<String> {
        let s = self.session();
        Ok(format!("<{}> <{}>", text(&s.get(key, CKA_UNIQUE_ID)?), mac(&s, key)?))
    }
}

/// The one key with this label.
pub fn key(s: &Session<'_>, label: &str) -> Rv<Option<CK_OBJECT_HANDLE>> {
    let found = s.find(&template![CKA_CLASS => CKO_SECRET_KEY, CKA_LABEL => label])?;
    Ok(found.first().copied())
}

/// The slot of the token with this label; without one, the slot that waits for a token.
fn slot(module: &Module, label: Option<&str>) -> Rv<CK_SLOT_ID> {
    for slot in module.slots(true)? {
        let info = module.token_info(slot)?;
        let is_there = info.flags & CKF_TOKEN_INITIALIZED != 0;
        if label.map_or(!is_there, |label| is_there && text(&info.label).trim_end() == label) {
            return Ok(slot);
        }
    }
    panic!("no such slot: {label:?}")
}

/// The MAC of a fixed message, in hexadecimal digits.
pub fn mac(s: &Session<'_>, key: CK_OBJECT_HANDLE) -> Rv<String> {
    Ok(s.mac(CKM_SHA256_HMAC, key, b"message")?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The template of a key that is made.
pub fn new_key(label: &str) -> Template {
    template![CKA_LABEL => label, CKA_TOKEN => true, CKA_SIGN => true, CKA_VERIFY => true]
}

const fn call(
    name: &'static str,
    scene: Scene,
    login: Option<CK_USER_TYPE>,
    act: fn(&Caller<'_>) -> Rv<String>,
) -> Operation {
    let deed = Deed::Call { login, act };
    Operation { name, scene, deed, officer: false, named: false, belongings: false }
}

const fn program(
    name: &'static str,
    scene: Scene,
    arguments: &'static [&'static str],
) -> Operation {
    let deed = Deed::Program(arguments);
    Operation { name, scene, deed, officer: false, named: false, belongings: false }
}

const NOBODY: Option<CK_USER_TYPE> = None;
const USER: Option<CK_USER_TYPE> = Some(CKU_USER);
const OFFICER: Option<CK_USER_TYPE> = Some(CKU_SO);

/// A grant on the victim, to the account: a user would have to be there.
const GRANT_CREATE: [&str; 12] = [
    "grant",
    "create",
    "--token",
    LABEL,
    "--key",
    VICTIM,
    "--grantee",
    "root",
    "--operation",
    "GenerateMac",
    "--retiring",
    "root",
];

/// Every operation that changes what is stored.
pub const OPERATIONS: &[Operation] = &[
    call("C_InitToken_first", Scene::Nothing, NOBODY, |c| {
        c.module.init_token(slot(c.module, None)?, SO_PIN, LABEL).map(|()| String::new())
    })
    .and_the_officer(),
    call("C_InitToken_again", Scene::Token, NOBODY, |c| {
        let slot = slot(c.module, Some(LABEL))?;
        c.module.init_token(slot, SO_PIN, "emptied").map(|()| String::new())
    })
    .and_the_officer(),
    call("C_InitPIN", Scene::Token, OFFICER, |c| {
        c.session().init_pin(NEW_PIN).map(|()| String::new())
    }),
    call("C_SetPIN_user", Scene::Token, USER, |c| {
        c.session().set_pin(USER_PIN, NEW_PIN).map(|()| String::new())
    }),
    call("C_SetPIN_officer", Scene::Token, OFFICER, |c| {
        c.session().set_pin(SO_PIN, NEW_SO_PIN).map(|()| String::new())
    })
    .and_the_officer(),
    call("C_Login_right", Scene::Token, NOBODY, |c| {
        let s = Session::open(c.module, slot(c.module, Some(LABEL))?, RW)?;
        s.login(CKU_USER, USER_PIN).map(|()| String::new())
    }),
    call("C_Login_wrong", Scene::Killed, NOBODY, |c| {
        let s = Session::open(c.module, slot(c.module, Some(LABEL))?, RW)?;
        match s.login(CKU_USER, "wrong-pin") {
            Err(Ckr(CKR_PIN_INCORRECT)) => Ok(String::new()),
            other => other.map(|()| panic!("a wrong PIN was taken")),
        }
    }),
    call("C_Login_upgrading", Scene::Old, NOBODY, |c| {
        let s = Session::open(c.module, slot(c.module, Some(OLD.0))?, RW)?;
        s.login(CKU_USER, OLD.2).map(|()| String::new())
    }),
    call("C_GenerateKey", Scene::Token, USER, |c| {
        let template = new_key("made").with(CKA_VALUE_LEN, 32 as CK_ULONG);
        c.proof(c.session().generate(CKM_GENERIC_SECRET_KEY_GEN, &template)?)
    }),
    call("C_GenerateKey_after_a_kill", Scene::Killed, USER, |c| {
        let template = new_key("made").with(CKA_VALUE_LEN, 32 as CK_ULONG);
        c.proof(c.session().generate(CKM_SHA256_KEY_GEN, &template)?)
    }),
    call("C_GenerateKey_guarded", Scene::Guarded, USER, |c| {
        let template = new_key("made").with(CKA_VALUE_LEN, 32 as CK_ULONG);
        c.proof(c.session().generate(CKM_GENERIC_SECRET_KEY_GEN, &template)?)
    }),
    call("C_CreateObject", Scene::Token, USER, |c| {
        let template = new_key("made")
            .with(CKA_CLASS, CKO_SECRET_KEY)
            .with(CKA_KEY_TYPE, CKK_GENERIC_SECRET)
            .with(CKA_VALUE, [7; 200]);
        c.proof(c.session().create(&template)?)
    }),
    call("C_CopyObject", Scene::Token, USER, |c| {
        let template = template![CKA_LABEL => "copy", CKA_TOKEN => true];
        c.proof(c.session().copy(c.key(VICTIM), &template)?)
    }),
    call("C_SetAttributeValue", Scene::Token, USER, |c| {
        let change = template![CKA_LABEL => "renamed", CKA_ID => [9, 9]];
        c.session().set(c.key(VICTIM), &change).map(|()| String::new())
    }),
    call("C_DestroyObject", Scene::Token, USER, |c| {
        c.session().destroy(c.key(VICTIM)).map(|()| String::new())
    }),
    program("signet_token_init", Scene::Nothing, &["token", "init", "--label", LABEL])
        .and_the_officer(),
    program("signet_token_init_second", Scene::Killed, &["token", "init", "--label", "second"]),
    program("signet_token_init_guarded", Scene::Guarded, &["token", "init", "--label", "second"]),
    program(
        "signet_key_generate",
        Scene::Token,
        &["key", "generate", "--token", LABEL, "--key", "made"],
    ),
    program("signet_token_rotate_root_key", Scene::Token, &["token", "rotate-root-key", LABEL])
        .and_the_officer(),
    program("signet_token_rotate_root_key_old", Scene::Old, &["token", "rotate-root-key", OLD.0])
        .and_the_officer(),
    program("signet_user_add", Scene::Named, &["user", "add", "--token", LABEL, "alice"])
        .and_the_named(),
    program("signet_user_remove", Scene::Named, &["user", "remove", "--token", LABEL, "bob"])
        .and_the_named(),
    program(
        "signet_user_access_key_create",
        Scene::Named,
        &["user", "access-key", "create", "--token", LABEL, "bob"],
    )
    .and_the_named(),
    program(
        "signet_key_schedule_deletion",
        Scene::Token,
        &["key", "schedule-deletion", "--token", LABEL, "--key", VICTIM],
    ),
    program("dates_acted_on_at_a_login", Scene::Due, &["key", "list", "--token", LABEL])
        .and_belongings(),
    program(
        "signet_alias_create",
        Scene::Token,
        &["alias", "create", "--token", LABEL, "alias/a", "--key", VICTIM],
    )
    .and_belongings(),
    program("signet_grant_create", Scene::Token, &GRANT_CREATE).and_belongings(),
    program("signet_token_compact", Scene::Killed, &["token", "compact", LABEL]),
    program("signet_token_zeroize", Scene::Token, &["token", "zeroize", LABEL, "--yes"]),
    program(
        "signet_backup_restore",
        Scene::BackedUp,
        &["backup", "restore", "token.backup", "--label", "restored"],
    ),
    program(
        "signet_token_check_quarantine",
        Scene::Damaged,
        &["token", "check", LABEL, "--quarantine"],
    ),
    program("signet_migrate_softhsm2", Scene::Foreign, &["migrate", "softhsm2", "softhsm2"]),
];

/// Operations that are *not* atomic: what the harness must find fault with.
pub const FAULTY: &[Operation] = &[call("two_keys_as_if_one", Scene::Token, USER, |c| {
    for label in ["one", "two"] {
        let template = new_key(label).with(CKA_VALUE_LEN, 32 as CK_ULONG);
        c.session().generate(CKM_GENERIC_SECRET_KEY_GEN, &template)?;
    }
    Ok(String::new())
})];
