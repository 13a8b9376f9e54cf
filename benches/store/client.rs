//! An application in a process of its own: starts, logs in, finds, signs, and
//! prints how long each step took.

use cryptoki_sys::*;
use libloading::Library;
use std::hint::black_box;
use std::path::Path;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

pub const PIN: &str = "1234";
const SO_PIN: &str = "12345678";

/// How often a search is repeated, each time for another key.
const REPEATED: usize = 100;

/// What a key is looked for by.
pub const NAMES: [(&str, CK_ATTRIBUTE_TYPE); 3] =
    [("label", CKA_LABEL), ("id", CKA_ID), ("unique id", CKA_UNIQUE_ID)];

/// The label of the key with this number; its `CKA_ID` is the number itself.
pub fn label(number: usize) -> String {
    format!("key-{number:06}")
}

pub fn id(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap().to_be_bytes()
}

#[track_caller]
fn ok(answer: CK_RV) {
    assert_eq!(answer, CKR_OK);
}

fn len(bytes: usize) -> CK_ULONG {
    bytes.try_into().unwrap()
}

fn attribute(type_: CK_ATTRIBUTE_TYPE, value: &[u8]) -> CK_ATTRIBUTE {
    let value_len = len(value.len());
    CK_ATTRIBUTE { type_, pValue: value.as_ptr().cast_mut().cast(), ulValueLen: value_len }
}

/// Calls a function of the module, which must succeed.
macro_rules! call {
    ($client:expr, $function:ident($($argument:expr),*)) => {
        ok(unsafe { ((*$client.functions).$function.unwrap())($($argument),*) })
    };
}

/// A loaded module.
pub struct Client {
    functions: CK_FUNCTION_LIST_PTR,
    session: CK_SESSION_HANDLE,
}

impl Client {
    pub fn load(module: &Path) -> Self {
        // Stays loaded, as in most programs.
        let library = Box::leak(Box::new(unsafe { Library::new(module) }.unwrap()));
        let mut functions = null_mut();
        type GetFunctionList = unsafe extern "C" fn(*mut CK_FUNCTION_LIST_PTR) -> CK_RV;
        unsafe {
            let get = library.get::<GetFunctionList>(b"C_GetFunctionList\0").unwrap();
            ok(get(&raw mut functions));
        }
        Self { functions, session: 0 }
    }

    fn start(&mut self) {
        call!(self, C_Initialize(null_mut()));
        let (mut slots, mut count) = ([0; 8], 8);
        call!(self, C_GetSlotList(CK_TRUE, slots.as_mut_ptr(), &raw mut count));
        let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
        call!(self, C_OpenSession(slots[0], flags, null_mut(), None, &raw mut self.session));
    }

    fn log_in(&self, user: CK_USER_TYPE, pin: &str) {
        call!(self, C_Login(self.session, user, pin.as_ptr().cast_mut(), len(pin.len())));
    }

    fn find(&self, type_: CK_ATTRIBUTE_TYPE, value: &[u8]) -> CK_OBJECT_HANDLE {
        let mut template = [attribute(type_, value)];
        let (mut found, mut count) = ([0; 2], 0);
        call!(self, C_FindObjectsInit(self.session, template.as_mut_ptr(), 1));
        call!(self, C_FindObjects(self.session, found.as_mut_ptr(), 2, &raw mut count));
        call!(self, C_FindObjectsFinal(self.session));
        assert_eq!(count, 1);
        found[0]
    }

    /// Handles of all objects.
    fn list(&self) -> Vec<CK_OBJECT_HANDLE> {
        let (mut all, mut found, mut count) = (Vec::new(), [0; 64], 1);
        call!(self, C_FindObjectsInit(self.session, null_mut(), 0));
        while count > 0 {
            call!(self, C_FindObjects(self.session, found.as_mut_ptr(), 64, &raw mut count));
            all.extend_from_slice(&found[..usize::try_from(count).unwrap()]);
        }
        call!(self, C_FindObjectsFinal(self.session));
        all
    }

    fn sign(&self, key: CK_OBJECT_HANDLE) -> [u8; 32] {
        let mechanism = CKM_SHA256_HMAC;
        let mut mechanism = CK_MECHANISM { mechanism, pParameter: null_mut(), ulParameterLen: 0 };
        let (mut mac, mut length) = ([0; 32], 32);
        let mut data = *b"thirty-two bytes of a message...";
        call!(self, C_SignInit(self.session, &raw mut mechanism, key));
        call!(self, C_Sign(self.session, data.as_mut_ptr(), 32, mac.as_mut_ptr(), &raw mut length));
        mac
    }

    /// Makes a token and logs its user in.
    pub fn make_token(&mut self) {
        let mut name = *b"bench                           ";
        call!(self, C_Initialize(null_mut()));
        let (mut slots, mut count) = ([0; 8], 8);
        call!(self, C_GetSlotList(CK_TRUE, slots.as_mut_ptr(), &raw mut count));
        let so_pin = (SO_PIN.as_ptr().cast_mut(), len(SO_PIN.len()));
        call!(self, C_InitToken(slots[0], so_pin.0, so_pin.1, name.as_mut_ptr()));
        call!(self, C_Finalize(null_mut()));
        self.start();
        self.log_in(CKU_SO, SO_PIN);
        call!(self, C_InitPIN(self.session, PIN.as_ptr().cast_mut(), len(PIN.len())));
        call!(self, C_Logout(self.session));
        self.log_in(CKU_USER, PIN);
    }

    pub fn resume(&mut self) {
        self.start();
        self.log_in(CKU_USER, PIN);
    }

    pub fn stop(&self) {
        call!(self, C_Finalize(null_mut()));
    }

    /// The object's unique id; nothing where there are none.
    pub fn unique_id(&self, object: CK_OBJECT_HANDLE) -> String {
        let mut text = [0; 64];
        let mut wanted = [attribute(CKA_UNIQUE_ID, &[])];
        wanted[0].pValue = text.as_mut_ptr().cast();
        wanted[0].ulValueLen = len(text.len());
        let get = unsafe { (*self.functions).C_GetAttributeValue.unwrap() };
        match unsafe { get(self.session, object, wanted.as_mut_ptr(), 1) } {
            CKR_OK => {
                let length = usize::try_from(wanted[0].ulValueLen).unwrap();
                String::from_utf8(text[..length].to_vec()).unwrap()
            }
            _ => String::new(),
        }
    }

    /// A durable key, and how long it took to make.
    pub fn generate(&self, number: usize) -> (Duration, CK_OBJECT_HANDLE) {
        let (label, id) = (label(number), id(number));
        let length = len(32).to_ne_bytes();
        let mut template = [
            attribute(CKA_TOKEN, &[1]),
            attribute(CKA_PRIVATE, &[1]),
            attribute(CKA_SIGN, &[1]),
            attribute(CKA_LABEL, label.as_bytes()),
            attribute(CKA_ID, &id),
            attribute(CKA_VALUE_LEN, &length),
        ];
        let mechanism = CKM_GENERIC_SECRET_KEY_GEN;
        let mut mechanism = CK_MECHANISM { mechanism, pParameter: null_mut(), ulParameterLen: 0 };
        let (count, mut key) = (len(template.len()), 0);
        let begun = Instant::now();
        call!(
            self,
            C_GenerateKey(
                self.session,
                &raw mut mechanism,
                template.as_mut_ptr(),
                count,
                &raw mut key
            )
        );
        (begun.elapsed(), key)
    }
}

pub fn timed<T>(step: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let answer = step();
    (begun.elapsed(), answer)
}

pub fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort_unstable();
    durations[durations.len() / 2]
}

/// The memory that this process holds, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Prints what a process holds that is logged in, has listed every key, and has signed
/// with this many of them.
pub fn memory(module: &Path, signed: usize) {
    let mut client = Client::load(module);
    client.resume();
    let logged_in = resident();
    let keys = client.list();
    let listed = resident();
    keys.iter().take(signed).for_each(|key| _ = client.sign(*key));
    println!("{logged_in} {listed} {}", resident());
    client.stop();
}

/// Plays an application on a token of `count` keys that looks for them by the name
/// with this index. The unique ids are in a file if the keys have any.
pub fn run(module: &Path, count: usize, seed: usize, name: usize, unique_ids: &Path) {
    let unique_ids = std::fs::read_to_string(unique_ids).unwrap_or_default();
    let unique_ids: Vec<_> = unique_ids.lines().collect();
    let mut client = Client::load(module);
    // Different keys in each round, far apart from each other.
    let find = |client: &Client, step: usize| {
        let key = (seed + step) * 7919 % count;
        let value = match NAMES[name].1 {
            CKA_LABEL => label(key).into_bytes(),
            CKA_ID => id(key).to_vec(),
            _ => unique_ids[key].as_bytes().to_vec(),
        };
        timed(|| client.find(NAMES[name].1, &value))
    };
    let start = timed(|| client.start()).0;
    let login = timed(|| client.log_in(CKU_USER, PIN)).0;
    let (first_find, found) = find(&client, 0);
    let first_sign = timed(|| black_box(client.sign(found))).0;
    let same_key = median((0..REPEATED).map(|_| find(&client, 0).0).collect());
    let other_keys = median((1..=REPEATED).map(|step| find(&client, step).0).collect());
    let times = [start, login, first_find, same_key, other_keys, first_sign];
    println!("{}", times.map(|time| time.as_nanos().to_string()).join(" "));
    client.stop();
}
