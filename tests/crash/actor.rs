//! The other processes: this program again, told by its arguments what to do.
//!
//! `--act NAME MODULE` does an operation through the C functions. It says `ack …`
//! when the module says that it is done, or `refused CKR_…`. `--look MODULE` says
//! what is in the token directory (`--officer`: tries the SO's PIN; `--named`: looks at
//! the named users and tries their PINs; `--belongings`: at aliases and grants; `--check`:
//! opens every record), `--prepare MODULE` fills one, `--work …` is one of a crowd.

use crate::board::Board;
use crate::common::*;
use crate::operations::{
    BYSTANDER, Caller, Deed, FAULTY, LABEL, NAMED_PIN, NEW_PIN, NEW_SO_PIN, OLD, OPERATIONS,
    VICTIM, key, mac, new_key, text,
};
use crate::worker;
use cryptoki_sys::*;
use libloading::os::unix::Library;
use signet_pkcs11::clock::SystemClock;
use signet_pkcs11::entropy::OsEntropy;
use signet_pkcs11::log::NoLog;
use signet_pkcs11::secret::Pin;
use signet_pkcs11::store::{DirectoryPlace, Place};
use signet_pkcs11::token::{Name, Settings, Surroundings, Token};
use signet_pkcs11::types::{SlotId, UserType};
use signet_pkcs11::vault::PinParameters;
use std::ffi::{CString, c_char, c_int, c_long};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Plays the part that the arguments name; false when they name none.
pub fn play(arguments: &[String]) -> bool {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--act", name, module] => act(name, &Module::load(Path::new(module))),
        ["--look", module, ref flags @ ..] => {
            let known = look(&Module::load(Path::new(module)), flags.contains(&"--officer"));
            verify_trails();
            if flags.contains(&"--named") {
                known.iter().for_each(|(slot, pin)| look_at_users(*slot, pin));
            }
            if flags.contains(&"--belongings") {
                known.iter().for_each(|(slot, pin)| look_at_belongings(*slot, pin));
            }
            if flags.contains(&"--check") {
                known.into_iter().for_each(|(slot, pin)| check(slot, pin));
            }
        }
        ["--work", number, crowd, board, module] => {
            let numbers = [number, crowd].map(|text| text.parse().expect("a number"));
            worker::work(
                &Module::load(Path::new(module)),
                Board::open(Path::new(board)),
                numbers[0],
                numbers[1],
            );
        }
        ["--prepare", module] => prepare(&Module::load(Path::new(module))),
        _ => return false,
    }
    true
}

/// Tells the first process something, in one line, at once.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").expect("the first process listens");
    out.flush().expect("the first process listens");
}

/// A function of the shim.
fn shim<F: Copy>(name: &str) -> F {
    // SAFETY: the callers name the functions of shim.c with their types.
    let found = unsafe { Library::this().get::<F>(format!("{name}\0").as_bytes()).map(|f| *f) };
    found.unwrap_or_else(|error| panic!("{name}: {error}; is the shim loaded?"))
}

/// Begins or ends what is counted; how much it was.
fn arm(on: bool) -> c_long {
    let arm: unsafe extern "C" fn(c_int) -> c_long = shim("crash_arm");
    // SAFETY: takes a number, and gives one.
    unsafe { arm(c_int::from(on)) }
}

/// Writes a word into the trace.
fn mark(word: &str) {
    let mark: unsafe extern "C" fn(*const c_char) = shim("crash_mark");
    let word = CString::new(word).expect("no zero byte");
    // SAFETY: the text lives until the call is over.
    unsafe { mark(word.as_ptr()) };
}

fn act(name: &str, module: &Module) {
    let mut rows = OPERATIONS.iter().chain(FAULTY);
    let row = rows.find(|row| row.name == name).expect("the table has this row");
    let Deed::Call { login, act } = row.deed else { panic!("{name} is a program") };
    let mut caller = Caller { module, session: None };
    if let Some(user) = login {
        module.initialize().expect("C_Initialize");
        let s = Session::open(module, module.slot_of(LABEL), RW).expect("C_OpenSession");
        let pin = if user == CKU_SO { SO_PIN } else { USER_PIN };
        s.login(user, pin).expect("C_Login");
        caller.session = Some(s);
    }
    mark("begin");
    arm(true);
    let done = if login.is_some() { Ok(()) } else { module.initialize() };
    match done.and_then(|()| act(&caller)) {
        Ok(proof) => {
            mark("ack");
            say(&format!("ack {proof}"));
        }
        Err(error) => say(&format!("refused {error:?}")),
    }
    // It goes on although something failed: what was there is there.
    if login == Some(CKU_USER) {
        let s = caller.session();
        match key(&s, BYSTANDER).and_then(|key| mac(&s, key.expect("the bystander is there"))) {
            Ok(mac) => say(&format!("goes on <{mac}>")),
            Err(error) => say(&format!("stuck {error:?}")),
        }
    }
    match module.finalize() {
        Ok(()) | Err(Ckr(CKR_CRYPTOKI_NOT_INITIALIZED)) => say(&format!("counted {}", arm(false))),
        Err(error) => say(&format!("not finalized {error:?}")),
    }
}

/// Makes what [`Scene`](crate::operations::Scene) describes.
fn prepare(module: &Module) {
    let make = || -> Rv {
        module.initialize()?;
        module.init_token(module.empty_slot(), SO_PIN, LABEL)?;
        let slot = module.slot_of(LABEL);
        let s = Session::open(module, slot, RW)?;
        s.login(CKU_SO, SO_PIN)?;
        s.init_pin(USER_PIN)?;
        s.logout()?;
        s.login(CKU_USER, USER_PIN)?;
        for label in [VICTIM, BYSTANDER] {
            let template = new_key(label).with(CKA_VALUE_LEN, 32 as CK_ULONG);
            s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template)?;
        }
        let data = template![
            CKA_CLASS => CKO_DATA, CKA_TOKEN => true, CKA_LABEL => "data", CKA_VALUE => [5; 5000],
        ];
        s.create(&data)?;
        // One wrong attempt, for a right one to forget.
        s.logout()?;
        refused(s.login(CKU_USER, "wrong-pin"), CKR_PIN_INCORRECT);
        Ok(())
    };
    make().expect("a token is made");
    say("prepared");
    // The killed scene ends here.
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("the first process speaks");
    module.finalize().expect("C_Finalize");
}

/// Says what there is, in lines. What is drawn at random stands in `<…>`. The slots
/// whose user could log in, and the PIN.
fn look(module: &Module, officer: bool) -> Vec<(CK_SLOT_ID, &'static str)> {
    let mut known = Vec::new();
    module.initialize().expect("C_Initialize");
    for slot in module.slots(true).expect("C_GetSlotList") {
        let info = module.token_info(slot).expect("C_GetTokenInfo");
        if info.flags & CKF_TOKEN_INITIALIZED == 0 {
            continue;
        }
        let (label, serial) = (text(&info.label), text(&info.serialNumber));
        say(&format!("slot {slot}: token {} <{serial}>", label.trim_end()));
        let low = [CKF_USER_PIN_COUNT_LOW, CKF_SO_PIN_COUNT_LOW].map(|flag| info.flags & flag != 0);
        say(&format!("counted {low:?}"));
        assert_eq!(info.flags & (CKF_USER_PIN_LOCKED | CKF_SO_PIN_LOCKED), 0, "locked");
        let s = Session::open(module, slot, RW).expect("C_OpenSession");
        if officer {
            let pin =
                login(&s, CKU_SO, [SO_PIN, NEW_SO_PIN, OLD.1]).expect("a token has an SO PIN");
            say(&format!("the SO's PIN is {pin}"));
            s.logout().expect("C_Logout");
        }
        if info.flags & CKF_USER_PIN_INITIALIZED == 0 {
            say("no user PIN");
            continue;
        }
        let pin =
            login(&s, CKU_USER, [USER_PIN, NEW_PIN, OLD.2]).expect("the flag says that it is set");
        say(&format!("the user's PIN is {pin}"));
        known.push((slot, pin));
        look_at_objects(&s);
        // And it goes on.
        let probe = new_key("probe").with(CKA_VALUE_LEN, 32 as CK_ULONG);
        let probe = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &probe).expect("C_GenerateKey");
        mac(&s, probe).expect("C_Sign");
        s.destroy(probe).expect("C_DestroyObject");
    }
    module.finalize().expect("C_Finalize");
    known
}

/// The tokens, without the C functions.
fn place() -> (DirectoryPlace, Surroundings) {
    let tokens = std::env::var_os("SIGNET_TOKENDIR").expect("it is set");
    let entropy = Arc::new(OsEntropy);
    let place = DirectoryPlace::new(tokens, entropy.clone());
    (place, Surroundings { entropy, clock: Arc::new(SystemClock), log: Arc::new(NoLog) })
}

/// Holds every audit trail against itself and its checkpoints: what was interrupted must
/// not look as if somebody had changed the trail.
fn verify_trails() {
    let (place, surroundings) = place();
    for slot in place.slots().expect("the place can be read") {
        let slot = SlotId::from_number(slot).expect("a number of a slot");
        let token =
            Token::open(&place, slot, &surroundings, Settings::default()).expect("it opens");
        let verifier = token.claimed_audit_verifier().expect("it can be read");
        let report = token.trail().archive().verify(verifier.as_ref(), &[]);
        let report = report.expect("it can be read");
        assert!(report.findings.is_empty() && report.records > 0, "{report:?}");
    }
}

/// The token without the C functions, its owner logged in.
fn open(slot: CK_SLOT_ID, pin: &str) -> Token {
    let (place, surroundings) = place();
    let slot = SlotId::from_number(slot).expect("a number of a slot");
    // The floor, as the other processes: nothing is to be raised.
    let pin_parameters = PinParameters { memory_kib: 7168, iterations: 5, lanes: 1 };
    let settings = Settings { pin_parameters, ..Settings::default() };
    let token = Token::open(&place, slot, &surroundings, settings).expect("it opens");
    token.login(UserType::User, &Pin::copied(pin.as_bytes())).expect("the PIN was right");
    token
}

/// Holds every record against its seal, and all of them against the sealed set.
fn check(slot: CK_SLOT_ID, pin: &str) {
    let findings = open(slot, pin).check().expect("it can be read").findings;
    assert!(findings.is_empty(), "{findings:?}");
}

/// Says which named users there are, what they have and that they can log in.
fn look_at_users(slot: CK_SLOT_ID, pin: &str) {
    let token = open(slot, pin);
    let owner = token.principal();
    let mut names = Vec::new();
    for user in token.users(owner).expect("they are read") {
        let entity = user.entity;
        say(&format!("user {} <{}>", entity.name, entity.unique_id));
        for key in token.access_keys(owner, Some(&entity.name)).expect("they are read") {
            say(&format!("access key of {}: <{}>", entity.name, key.id));
        }
        names.push(entity.name);
    }
    for name in ["alice", "bob"].map(|name| Name::new(name).expect("it is one")) {
        let pin = token.user_pin(owner, &name).expect("it is read");
        assert_eq!(pin.initialized, names.contains(&name), "the PIN of {name}");
    }
    for name in names {
        token.logout().expect("somebody is logged in");
        let pin = Pin::copied(NAMED_PIN.as_bytes());
        token.login_user(UserType::User, name.as_str(), &pin).expect("the PIN is right");
    }
}

/// Says which aliases there are, and which grants that the owner may retire.
fn look_at_belongings(slot: CK_SLOT_ID, pin: &str) {
    let token = open(slot, pin);
    let owner = token.principal();
    for alias in token.aliases(owner, None, None, 100).expect("they are read").0 {
        say(&format!("{} names <{}>", alias.alias_name, alias.key));
    }
    let root = token.home().iam_arn("root");
    for found in token.retirable_grants(owner, &root, None, 100).expect("they are read").0 {
        say(&format!("grant <{}> on <{}>: {:?}", found.grant.id, found.key, found.grant.terms));
    }
}

/// Logs in with the one of the PINs that is right; `None` when none is set.
fn login(s: &Session<'_>, user: CK_USER_TYPE, pins: [&'static str; 3]) -> Option<&'static str> {
    for pin in pins {
        match s.login(user, pin) {
            Ok(()) => return Some(pin),
            Err(Ckr(CKR_PIN_INCORRECT)) => {}
            Err(Ckr(CKR_USER_PIN_NOT_INITIALIZED)) => return None,
            Err(other) => panic!("C_Login: {other:?}"),
        }
    }
    panic!("none of the PINs is right")
}

fn look_at_objects(s: &Session<'_>) {
    let mut lines = Vec::new();
    for object in s.find(&Template::new()).expect("C_FindObjects") {
        let get = |attribute| s.get(object, attribute).expect("C_GetAttributeValue");
        let (label, id) = (text(&get(CKA_LABEL)), text(&get(CKA_UNIQUE_ID)));
        lines.push(if s.number(object, CKA_CLASS) == CKO_SECRET_KEY {
            let flags = [CKA_SIGN, CKA_VERIFY, CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_LOCAL]
                .map(|attribute| s.flag(object, attribute));
            let mac = match mac(s, object) {
                // For its flags or its state.
                Err(Ckr(CKR_KEY_FUNCTION_NOT_PERMITTED)) => "may not sign".into(),
                mac => mac.expect("C_Sign"),
            };
            let named = s.find(&template![CKA_LABEL => &*label, CKA_UNIQUE_ID => &*id]);
            assert_eq!(named.expect("C_FindObjects"), [object], "found by label and unique id");
            format!("key {label} {:?} {flags:?} <{id}> <{mac}>", get(CKA_ID))
        } else {
            format!("data {label} {} bytes <{id}>", get(CKA_VALUE).len())
        });
    }
    lines.sort_unstable();
    lines.iter().for_each(|line| say(line));
}
