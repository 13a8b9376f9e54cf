//! One process of a crowd. It makes, uses, changes and destroys keys of its own, and
//! watches one key of each of the others, whose state is on the board.
//!
//! A watched key goes through four states over and over, numbered without end: made;
//! its `CKA_ID` changed; `CKA_SIGN` taken away; destroyed. Its `CKA_ID` is that number.

use crate::board::{Board, Span};
use crate::common::*;
use crate::disk::Random;
use crate::operations::{LABEL, NEW_PIN, mac, text};
use cryptoki_sys::*;
use std::collections::BTreeMap;
use std::io::Write;

/// On the board: not zero when all shall end; the user's PIN; the first worker's key.
pub const STOP: usize = 0;
pub const PIN: usize = 1;
pub const FIRST: usize = 2;

/// The states of a watched key.
const MADE: u64 = 0;
const RENAMED: u64 = 1;
const NO_SIGNING: u64 = 2;
const DESTROYED: u64 = 3;
const STATES: u64 = 4;

/// How many keys of its own a worker has at most.
const OWN: usize = 4;

/// A watched key that this process has a handle of.
struct Held {
    handle: CK_OBJECT_HANDLE,
    /// Which of the keys with this label, one after another.
    life: u64,
    mac: Vec<u8>,
}

struct Worker<'m> {
    module: &'m Module,
    board: Board,
    number: usize,
    crowd: usize,
    random: Random,
    session: Option<Session<'m>>,
    held: BTreeMap<usize, Held>,
    own: BTreeMap<String, CK_OBJECT_HANDLE>,
    made: u64,
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever listens may be gone: then nothing is to be said any more.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Works until the board says that it is enough.
pub fn work(module: &Module, board: Board, number: usize, crowd: usize) {
    let random = Random(u64::from(std::process::id()) << 20 | number as u64);
    let (session, held, own) = (None, BTreeMap::new(), BTreeMap::new());
    let mut worker = Worker { module, board, number, crowd, random, session, held, own, made: 0 };
    worker.start();
    worker.take_over();
    while worker.board.done(STOP) == 0 {
        worker.round();
        say("round");
    }
    module.finalize().expect("C_Finalize");
    say("done");
}

impl<'m> Worker<'m> {
    fn session(&self) -> Session<'m> {
        self.session.expect("started")
    }

    fn start(&mut self) {
        self.module.initialize().expect("C_Initialize");
        let s = Session::open(self.module, self.module.slot_of(LABEL), RW).expect("C_OpenSession");
        let log_in = |changes| match s.login(CKU_USER, pin(changes)) {
            Ok(()) => true,
            Err(Ckr(CKR_PIN_INCORRECT)) => false,
            Err(other) => panic!("C_Login: {other:?}"),
        };
        loop {
            let done = self.board.done(PIN);
            if log_in(done) {
                break;
            }
            let span = self.board.span(PIN, done);
            assert!(span.intended > done, "the right PIN was refused: {span:?}");
            // Being changed; or whoever changed it was killed, and has a successor.
            if log_in(span.intended) {
                break;
            }
        }
        self.session = Some(s);
    }

    fn label(number: usize) -> String {
        format!("watched {number}")
    }

    /// Goes on where a killed predecessor stopped: says which of its keys are there,
    /// finds out what became of its last change.
    fn take_over(&mut self) {
        let s = self.session();
        let id = format!("own {}", self.number);
        let mut there = "there".to_owned();
        for key in s.find(&template![CKA_ID => id.as_str()]).expect("C_FindObjects") {
            let label = text(&s.get(key, CKA_LABEL).expect("C_GetAttributeValue"));
            there.push_str(&format!(" {label}={}", mac(&s, key).expect("C_Sign")));
            self.own.insert(label, key);
        }
        say(&there);
        let watched = FIRST + self.number;
        let done = self.board.done(watched);
        let span = self.board.span(watched, done);
        let found = self.look(self.number);
        let now = span.versions().find(|version| seen(*version) == found);
        let now = now.unwrap_or_else(|| panic!("{found:?} is not in {span:?}"));
        self.board.intend(watched, now);
        self.board.finish(watched, now);
        if self.number == 0 {
            // The PIN that was right above is the one of the two that is acknowledged now.
            let done = self.board.done(PIN);
            let intended = self.board.span(PIN, done).intended;
            if intended > done {
                let now = if self.opens(pin(intended)) { intended } else { done };
                self.board.intend(PIN, now);
                self.board.finish(PIN, now);
            }
        }
    }

    /// Whether this is the user's PIN.
    fn opens(&self, pin: &str) -> bool {
        let s = self.session();
        match s.set_pin(pin, pin) {
            Ok(()) => true,
            Err(Ckr(CKR_PIN_INCORRECT)) => false,
            Err(other) => panic!("C_SetPIN: {other:?}"),
        }
    }

    fn round(&mut self) {
        match self.random.below(100) {
            0 => self.restart(),
            1..7 if self.number == 0 => self.change_pin(),
            1..25 => self.make_or_destroy(),
            25..45 => self.advance(),
            45..55 => self.session_key(),
            _ => self.watch(),
        }
    }

    fn restart(&mut self) {
        self.module.finalize().expect("C_Finalize");
        self.held.clear();
        self.own.clear();
        self.start();
        let s = self.session();
        let id = format!("own {}", self.number);
        for key in s.find(&template![CKA_ID => id.as_str()]).expect("C_FindObjects") {
            let label = text(&s.get(key, CKA_LABEL).expect("C_GetAttributeValue"));
            self.own.insert(label, key);
        }
    }

    fn change_pin(&self) {
        let done = self.board.done(PIN);
        self.board.intend(PIN, done + 1);
        self.session().set_pin(pin(done), pin(done + 1)).expect("C_SetPIN");
        self.board.finish(PIN, done + 1);
    }

    fn make_or_destroy(&mut self) {
        let s = self.session();
        if self.own.len() < OWN && self.random.below(2) == 0 {
            self.made += 1;
            let label = format!("own-{}-{}-{}", self.number, std::process::id(), self.made);
            let template = template![
                CKA_LABEL => label.as_str(), CKA_ID => format!("own {}", self.number).as_str(),
                CKA_TOKEN => true, CKA_VALUE_LEN => 32,
            ];
            say(&format!("making {label}"));
            let key = s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template).expect("C_GenerateKey");
            say(&format!("made {label}={}", mac(&s, key).expect("C_Sign")));
            self.own.insert(label, key);
        } else if !self.own.is_empty() {
            let at = self.random.below(self.own.len());
            let label = self.own.keys().nth(at).expect("counted").clone();
            let key = self.own.remove(&label).expect("there");
            say(&format!("destroying {label}"));
            s.destroy(key).expect("C_DestroyObject");
            say(&format!("destroyed {label}"));
            refused(s.sign_init(CKM_SHA256_HMAC, key), CKR_KEY_HANDLE_INVALID);
        }
    }

    fn session_key(&self) {
        let s = self.session().another(RW).expect("C_OpenSession");
        let key = s.generate(CKM_SHA256_KEY_GEN, &template![CKA_VALUE_LEN => 32]);
        let key = key.expect("C_GenerateKey");
        let mac = s.mac(CKM_SHA256_HMAC, key, b"text").expect("C_Sign");
        s.check(CKM_SHA256_HMAC, key, b"text", &mac).expect("C_Verify");
        s.close().expect("C_CloseSession");
    }

    /// Brings its watched key into the next state.
    fn advance(&mut self) {
        let s = self.session();
        let watched = FIRST + self.number;
        let label = Self::label(self.number);
        let next = (self.board.done(watched) + 1).max(STATES);
        let here = template![CKA_LABEL => label.as_str()];
        self.board.intend(watched, next);
        let key = s.find(&here).expect("C_FindObjects").first().copied();
        let key = || key.expect("the own key is there");
        let id = next.to_ne_bytes();
        match next % STATES {
            MADE => {
                let template = template![CKA_VALUE_LEN => 32, CKA_TOKEN => true, CKA_ID => id];
                let template = template.and(&here);
                s.generate(CKM_GENERIC_SECRET_KEY_GEN, &template).map(|_| ())
            }
            RENAMED => s.set(key(), &template![CKA_ID => id]),
            NO_SIGNING => s.set(key(), &template![CKA_ID => id, CKA_SIGN => false]),
            _ => s.destroy(key()),
        }
        .expect("the own key is changed");
        self.board.finish(watched, next);
    }

    /// The `CKA_ID` of a watched key, and whether it may sign; `None` when there is none.
    fn look(&self, number: usize) -> Option<(u64, bool)> {
        let s = self.session();
        loop {
            let label = Self::label(number);
            let keys = s.find(&template![CKA_LABEL => label.as_str()]).expect("C_FindObjects");
            assert!(keys.len() < 2, "{label} is there {} times", keys.len());
            let key = *keys.first()?;
            let read = || -> Rv<_> {
                let id = |key| -> Rv<u64> {
                    let id = s.get(key, CKA_ID)?;
                    Ok(u64::from_ne_bytes(id.try_into().expect("eight bytes")))
                };
                // Twice: between the two looks it may have gone on.
                let (before, sign) = (id(key)?, s.get(key, CKA_SIGN)? == [1]);
                Ok((id(key)? == before).then_some((before, sign)))
            };
            match read() {
                Ok(Some(found)) => return Some(found),
                // Changed or destroyed meanwhile.
                Ok(None) | Err(Ckr(CKR_OBJECT_HANDLE_INVALID)) => {}
                Err(other) => panic!("C_GetAttributeValue: {other:?}"),
            }
        }
    }

    /// Looks at another's key: by its label, or with the handle that it has of it.
    fn watch(&mut self) {
        let number = self.random.below(self.crowd);
        let watched = FIRST + number;
        let done = self.board.done(watched);
        if let Some(held) = self.held.get(&number)
            && self.random.below(3) > 0
        {
            let used = self.session().mac(CKM_SHA256_HMAC, held.handle, b"message");
            let span = self.board.span(watched, done);
            if let Err(what) = may_be(held, &used, span) {
                panic!("stale: {} of {number}, life {}, {what}: {span:?}", "handle", held.life);
            }
            if used.is_err() {
                self.held.remove(&number);
            }
            return;
        }
        let found = self.look(number);
        let span = self.board.span(watched, done);
        let fits = span.versions().any(|version| seen(version) == found);
        assert!(fits, "stale: {found:?} of {number} is not in {span:?}");
        if let Some((version, true)) = found {
            self.hold(number, version / STATES);
        }
    }

    /// Keeps the handle of another's key, if it is still the one that was seen.
    fn hold(&mut self, number: usize, life: u64) {
        let s = self.session();
        let label = Self::label(number);
        let found = s.find(&template![CKA_LABEL => label.as_str()]).expect("C_FindObjects");
        let Some(&handle) = found.first() else { return };
        let (Ok(mac), Ok(id)) = (s.mac(CKM_SHA256_HMAC, handle, b"message"), s.get(handle, CKA_ID))
        else {
            return;
        };
        let version = u64::from_ne_bytes(id.try_into().expect("eight bytes"));
        if version / STATES == life {
            self.held.insert(number, Held { handle, life, mac });
        }
    }
}

/// The user's PIN after so many changes.
pub const fn pin(changes: u64) -> &'static str {
    if changes.is_multiple_of(2) { USER_PIN } else { NEW_PIN }
}

/// What a search finds in this state. Nothing is made before the first.
fn seen(version: u64) -> Option<(u64, bool)> {
    match version % STATES {
        _ if version < STATES => None,
        DESTROYED => None,
        state => Some((version, state != NO_SIGNING)),
    }
}

/// Whether what a handle was good for fits one of the states.
fn may_be(held: &Held, used: &Rv<Vec<u8>>, span: Span) -> Result<(), String> {
    let fits = |version: u64| {
        if version / STATES != held.life || version % STATES == DESTROYED {
            return matches!(used, Err(Ckr(CKR_KEY_HANDLE_INVALID)));
        }
        match (version % STATES, used) {
            (NO_SIGNING, Err(Ckr(CKR_KEY_FUNCTION_NOT_PERMITTED))) => true,
            (MADE | RENAMED, Ok(mac)) => *mac == held.mac,
            _ => false,
        }
    };
    if span.versions().any(fits) { Ok(()) } else { Err(format!("{used:?}")) }
}
