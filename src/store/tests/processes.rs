//! Several processes on one token: alive, killed and forked.
//!
//! The other processes are this test program again, told by an environment
//! variable to play a part.

// For `fork`, which is what some of these tests are about.
#![allow(unsafe_code)]

use super::*;
use crate::error::Error;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::io::{BufRead, BufReader, Lines, Read, Write, pipe};
use std::os::unix::process::CommandExt;
use std::os::unix::thread::JoinHandleExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

const ROLE: &str = "SIGNET_TEST_ROLE";
const PLACE: &str = "SIGNET_TEST_PLACE";
const NUMBER: &str = "SIGNET_TEST_NUMBER";
/// Before each line that a role says, to tell it from what the test harness prints.
const SIGN: &str = "@ ";

/// Another process at work.
pub(super) struct Player {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Player {
    pub(super) fn start(role: &str, place: &Path, number: usize) -> Self {
        Self::start_program(&std::env::current_exe().unwrap(), role, place, number, None)
    }

    /// One that has said `word` first.
    fn at_word(word: &str, role: &str, place: &Path, number: usize) -> Self {
        let mut player = Self::start(role, place, number);
        assert_eq!(player.hear().as_deref(), Some(word));
        player
    }

    pub(super) fn start_program(
        program: &Path,
        role: &str,
        place: &Path,
        number: usize,
        uid: Option<u32>,
    ) -> Self {
        let mut command = Command::new(program);
        command.args(["--exact", "store::tests::processes::part_in_another_test", "--nocapture"]);
        command.env(ROLE, role).env(PLACE, place).env(NUMBER, number.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).current_dir("/");
        if let Some(uid) = uid {
            command.uid(uid);
        }
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next thing that it says; `None` when it has ended.
    pub(super) fn hear(&mut self) -> Option<String> {
        let said = self.lines.by_ref().map_while(std::result::Result::ok);
        // The harness prints the test's name without ending the line.
        said.filter_map(|line| line.split_once(SIGN).map(|(_, said)| said.to_owned())).next()
    }

    /// Lets it go on from its `wait`.
    pub(super) fn go(&mut self) {
        drop(self.child.stdin.take());
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(super) fn ends_well(mut self) {
        self.go();
        let rest: Vec<_> = self.lines.by_ref().map_while(std::result::Result::ok).collect();
        assert!(self.child.wait().unwrap().success(), "{rest:#?}");
    }
}

/// Nothing is left of it when a test fails, stopped or not.
impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(in crate::store) fn say(what: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{SIGN}{what}").unwrap();
    out.flush().unwrap();
}

pub(in crate::store) fn wait() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Not a test by itself: the other processes of the tests here begin in it.
#[test]
fn part_in_another_test() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let path = std::path::PathBuf::from(std::env::var_os(PLACE).unwrap());
    let number = std::env::var(NUMBER).unwrap();
    let place = place(&path);
    match role.as_str() {
        "count" => count(&*place.open(0).unwrap(), &number),
        "write for ever" => write_for_ever(&*place.open(0).unwrap(), &number),
        "reserve" => {
            let store = place.open(0).unwrap();
            let _open = store.reserve(&id("user"), 2).unwrap();
            say("reserved");
            wait();
        }
        "log in" => {
            let store = place.open(0).unwrap();
            say("ready");
            wait();
            std::thread::scope(|scope| {
                for _ in 0..16 {
                    scope.spawn(|| store.reserve(&id("user"), 3).unwrap().succeed().unwrap());
                }
            });
        }
        "create" => {
            say("ready");
            wait();
            match place.create(0, vec![put(&number, 0, b"", &[])]) {
                Ok(_) => say("made"),
                Err(Error::SlotIdInvalid(_)) => say("taken"),
                Err(other) => panic!("{other:?}"),
            }
        }
        "be present" => {
            let store = place.open(0).unwrap();
            let _present = store.present().unwrap().unwrap();
            say("present");
            wait();
        }
        "commit once" => {
            commit(&*place.open(0).unwrap(), &[put("theirs", 0, b"", &[])]).unwrap();
            place.create(5, vec![]).unwrap();
        }
        "stop amid a commit" => sqlite::tests::stop_amid_a_commit(&path, number == "1", || {}),
        "fork and stop amid a commit" => sqlite::tests::stop_amid_a_commit(&path, true, || {
            in_child(wait);
        }),
        "start" => {
            say("ready");
            wait();
            let store = place.open(0).unwrap();
            store.reserve(&id("user"), 3).unwrap().succeed().unwrap();
            commit(&*store, &[put(&number, 0, b"", &[])]).unwrap();
        }
        "fork" => fork_and_go_on(&place, &path),
        "fork while it waits" => {
            let waiting = std::thread::spawn(move || place.open(0).map(drop));
            // Some of these come while it waits.
            for _ in 0..100 {
                assert!(before_fork(), "the child would be refused its tokens");
                after_fork(false);
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(!waiting.is_finished());
            say("forked");
            wait();
            waiting.join().unwrap().unwrap();
        }
        "fork amid a commit" => fork_amid_a_commit(&place, &path),
        "read" => super::read_only::read(&path, &number),
        "lose permission" => super::read_only::lose_permission(&path),
        other => panic!("unknown role {other}"),
    }
}

fn count(store: &dyn Store, number: &str) {
    for round in 0..15 {
        count_up(store, &format!("{number}.{round}"));
    }
}

#[test]
fn processes_writing_at_once_make_no_error_and_lose_nothing() {
    let directory = directory();
    let place = place(directory.path());
    let store = place.create(0, vec![put("counter", 0, &0_u64.to_be_bytes(), &[])]).unwrap();
    let players: Vec<_> = (0..8).map(|n| Player::start("count", directory.path(), n)).collect();
    players.into_iter().for_each(Player::ends_well);
    assert_eq!(store.sequence(), Ok(Sequence(1 + 8 * 15)));
    assert_eq!(store.find(KIND, &[], None, usize::MAX).unwrap().records.len(), 1 + 8 * 15);
    let counter = store.get(KIND, &id("counter")).unwrap().unwrap();
    assert_eq!(counter.body, (8 * 15_u64).to_be_bytes());
}

fn write_for_ever(store: &dyn Store, number: &str) {
    for round in 0_u64.. {
        let name = format!("{number}.{round}");
        // Two records each time, to see that they come together.
        let batch = [
            put(&name, 0, &[3; 700], &[tag(1, round)]),
            put(&format!("{name}.b"), 0, &[4; 700], &[tag(1, round)]),
        ];
        commit(store, &batch).unwrap();
        say(&name);
    }
}

#[test]
fn killed_writers_leave_a_whole_store_and_nothing_acknowledged_is_lost() {
    let directory = directory();
    place(directory.path()).create(0, vec![]).unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..4 {
        let mut players: Vec<_> = (0..3)
            .map(|n| Player::start("write for ever", directory.path(), round * 10 + n))
            .collect();
        for turn in 0..12 {
            let player = &mut players[turn % 3];
            acknowledged.push(player.hear().unwrap());
        }
        players.into_iter().for_each(Player::kill);
        let store = place(directory.path()).open(0).unwrap();
        let all = store.find(KIND, &[], None, usize::MAX).unwrap();
        let names: std::collections::BTreeSet<_> = names(&all).into_iter().collect();
        for name in &acknowledged {
            assert!(names.contains(name.as_str()), "{name} is lost");
        }
        for name in &names {
            let whole = name.strip_suffix(".b").unwrap_or(name);
            assert!(names.contains(whole) && names.contains(&*format!("{whole}.b")));
        }
        let clean_up = u64::try_from(round).unwrap();
        assert_eq!(store.sequence().unwrap().0, names.len() as u64 / 2 + 2 * clean_up);
        // The next commit repairs the page, whatever state the dead left it in.
        let cleaned = commit(&*store, &[put("repair", 0, b"", &[])]).unwrap();
        assert!(store.generation().is_settled());
        assert_eq!(commit(&*store, &[remove("repair", 1)]).unwrap().0, cleaned.0 + 1);
    }
}

#[test]
fn a_writer_killed_between_its_commit_and_the_page_harms_nobody() {
    for committed in [0, 1] {
        let directory = directory();
        let here = place(directory.path());
        let store = here.create(0, vec![put("ours", 0, b"", &[])]).unwrap();
        let before = store.generation();
        let player = Player::at_word("stopped", "stop amid a commit", directory.path(), committed);
        let look = || {
            // Nobody takes what he knows for the present.
            assert!(!store.generation().is_settled());
            let Changes::Records { records, .. } = store.changes(Sequence(1)).unwrap() else {
                panic!("the log is short")
            };
            assert_eq!(records.len(), committed);
            let seen = store.get(KIND, &id("theirs")).unwrap().is_some();
            assert_eq!(seen, committed == 1);
        };
        look();
        player.kill();
        look();
        // One that comes now, and the next writer, which nothing keeps waiting.
        let anew = place(directory.path()).open(0).unwrap();
        assert_eq!(anew.get(KIND, &id("theirs")).unwrap().is_some(), committed == 1);
        let sequence = commit(&*anew, &[put("next", 0, b"", &[])]).unwrap();
        assert_eq!(sequence, Sequence(2 + committed as u64));
        assert!(store.generation().is_settled());
        assert_ne!(store.generation(), before);
        assert_eq!(store.generation(), anew.generation());
    }
}

#[test]
fn a_stopped_writer_is_waited_for_and_then_named() {
    let directory = directory();
    place(directory.path()).create(0, vec![put("ours", 0, b"", &[])]).unwrap();
    let player = Player::at_word("stopped", "stop amid a commit", directory.path(), 0);
    player.signal(Signal::SIGSTOP);
    let hasty = place(directory.path()).with_busy_timeout(Duration::from_millis(40));
    let store = hasty.open(0).unwrap();
    let named = format!("process {} has kept it locked for 0 s and more", player.child.id());
    for refused in [
        commit(&*store, &[put("new", 0, b"", &[])]).map(drop),
        store.reserve(&id("user"), 3).map(drop),
        store.forgive(&id("user")),
    ] {
        match refused {
            Err(Error::FunctionFailed(why)) => assert!(why.contains(&named), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    // Who only reads, or makes another token, waits for nobody.
    assert_eq!(store.sequence(), Ok(Sequence(1)));
    assert_eq!(failures(&*store, "user"), 0);
    hasty.create(1, vec![]).unwrap();
    // One with more patience gets his turn when the stopped one is gone.
    let patient = place(directory.path()).open(0).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| commit(&*patient, &[put("patient", 0, b"", &[])]));
        player.kill();
        assert_eq!(waiting.join().unwrap(), Ok(Sequence(2)));
    });
    commit(&*store, &[put("new", 0, b"", &[])]).unwrap();
}

#[test]
fn a_token_with_a_stopped_writer_is_removed_whole_or_not_at_all() {
    let directory = directory();
    place(directory.path()).create(0, vec![put("ours", 0, b"", &[])]).unwrap();
    let player = Player::at_word("stopped", "stop amid a commit", directory.path(), 0);
    player.signal(Signal::SIGSTOP);
    let hasty = place(directory.path()).with_busy_timeout(Duration::from_millis(40));
    let refuses = |what: &Path| match hasty.remove(0) {
        Err(Error::FunctionFailed(why)) => {
            assert!(why.contains(&format!("process {} ", player.child.id())), "{why}");
            let kept = format!("Nothing of {} was removed", what.display());
            assert!(why.contains(&kept), "{why}");
        }
        other => panic!("{other:?}"),
    };
    let at = |name: &str| directory.path().canonicalize().unwrap().join(name);
    refuses(&at("slot-0"));
    assert_eq!(hasty.slots(), Ok(vec![0]));
    assert!(hasty.open(0).unwrap().get(KIND, &id("ours")).unwrap().is_some());
    // Half removed by one who was killed: in nobody's way, and not taken for removed.
    std::fs::rename(at("slot-0"), at(".slot-0.gone")).unwrap();
    hasty.create(1, vec![]).unwrap();
    hasty.remove(1).unwrap();
    refuses(&at(".slot-0.gone"));
    hasty.create(0, vec![]).unwrap();
    player.kill();
    hasty.remove(0).unwrap();
    assert!(!at("slot-0").exists() && !at(".slot-0.gone").exists());
    assert_eq!(hasty.remove(0), Err(Error::SlotIdInvalid(crate::types::SlotId(0))));
}

extern "C" fn do_nothing(_: nix::libc::c_int) {}

#[test]
fn a_stopped_writer_is_named_to_who_is_interrupted_all_the_time() {
    let directory = directory();
    place(directory.path()).create(0, vec![]).unwrap();
    let player = Player::at_word("stopped", "stop amid a commit", directory.path(), 0);
    player.signal(Signal::SIGSTOP);
    let hasty = place(directory.path()).with_busy_timeout(Duration::from_millis(40));
    let store = hasty.open(0).unwrap();
    let action = SigAction::new(SigHandler::Handler(do_nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing, and nobody else here uses this signal.
    unsafe { sigaction(Signal::SIGUSR2, &action) }.unwrap();
    let waiting = std::thread::spawn(move || commit(&*store, &[put("new", 0, b"", &[])]));
    // No sleep is as long as it should be. Many more than a wait should take.
    let interrupted = (0..10_000).any(|_| {
        // SAFETY: the thread has not been joined.
        unsafe { nix::libc::pthread_kill(waiting.as_pthread_t(), nix::libc::SIGUSR2) };
        std::thread::sleep(Duration::from_millis(1));
        waiting.is_finished()
    });
    assert!(interrupted, "it waits for as long as signals come");
    let ended = waiting.join().unwrap();
    assert!(matches!(ended, Err(Error::FunctionFailed(_))), "{ended:?}");
}

#[test]
fn a_child_that_lives_on_keeps_no_lock_of_a_killed_parent() {
    let directory = directory();
    place(directory.path()).create(0, vec![]).unwrap();
    let mut player = Player::at_word("stopped", "fork and stop amid a commit", directory.path(), 0);
    // The child waits for the end of the same input, which comes later.
    player.signal(Signal::SIGKILL);
    let place = place(directory.path()).with_busy_timeout(Duration::from_secs(10));
    let sequence = commit(&*place.open(0).unwrap(), &[put("ours", 0, b"", &[])]);
    assert_eq!(sequence, Ok(Sequence(2)));
    player.go();
}

#[test]
fn a_killed_holder_s_reservation_becomes_a_failure() {
    let directory = directory();
    let store = place(directory.path()).create(0, vec![]).unwrap();
    let [one, two] = [0, 1].map(|n| Player::at_word("reserved", "reserve", directory.path(), n));
    assert_eq!(failures(&*store, "user"), 0, "they are still at it");
    std::thread::scope(|scope| {
        // With a limit of two, the two open ones must be settled first.
        let third = scope.spawn(|| store.reserve(&id("user"), 2).err());
        store.reserve(&id("other"), 1).unwrap().succeed().unwrap();
        assert!(!third.is_finished());
        one.kill();
        assert_eq!(failures(&*store, "user"), 1);
        two.kill();
        assert_eq!(failures(&*store, "user"), 2);
        assert_eq!(third.join().unwrap(), Some(Error::PinLocked));
    });
    assert_eq!(failures(&*store, "user"), 2, "turned into failures, not counted twice");
}

#[test]
fn a_stopped_holder_s_reservation_is_waited_for_and_then_named() {
    let directory = directory();
    place(directory.path()).create(0, vec![]).unwrap();
    let player = Player::at_word("reserved", "reserve", directory.path(), 0);
    player.signal(Signal::SIGSTOP);
    let hasty = place(directory.path()).with_busy_timeout(Duration::from_millis(40));
    let store = hasty.open(0).unwrap();
    let second = store.reserve(&id("user"), 2).unwrap();
    match store.reserve(&id("user"), 2).map(drop) {
        Err(Error::FunctionFailed(why)) => assert!(why.contains("slot-0/attempts: "), "{why}"),
        other => panic!("{other:?}"),
    }
    second.succeed().unwrap();
    store.reserve(&id("user"), 2).unwrap().succeed().unwrap();
    assert_eq!(failures(&*store, "user"), 0, "it may still succeed");
    player.kill();
    assert_eq!(failures(&*store, "user"), 1);
}

#[test]
fn sixty_four_correct_logins_of_several_processes_lock_nobody_out() {
    let directory = directory();
    let store = place(directory.path()).create(0, vec![]).unwrap();
    let mut players: Vec<_> =
        (0..4).map(|n| Player::start("log in", directory.path(), n)).collect();
    players.iter_mut().for_each(|player| assert_eq!(player.hear().as_deref(), Some("ready")));
    players.iter_mut().for_each(Player::go);
    players.into_iter().for_each(Player::ends_well);
    assert_eq!(failures(&*store, "user"), 0);
    store.reserve(&id("user"), 1).unwrap().succeed().unwrap();
}

#[test]
fn of_processes_that_make_one_slot_exactly_one_wins() {
    let directory = directory();
    let path = directory.path().join("not").join("there yet");
    let mut players: Vec<_> = (0..6).map(|n| Player::start("create", &path, n)).collect();
    players.iter_mut().for_each(|player| assert_eq!(player.hear().as_deref(), Some("ready")));
    players.iter_mut().for_each(Player::go);
    let said: Vec<_> = players.iter_mut().map(|player| player.hear().unwrap()).collect();
    players.into_iter().for_each(Player::ends_well);
    let winner = said.iter().position(|said| said == "made").unwrap();
    assert_eq!(said.iter().filter(|said| *said == "taken").count(), 5);
    let all = place(&path).open(0).unwrap().find(KIND, &[], None, 9).unwrap();
    assert_eq!(names(&all), [winner.to_string()]);
    assert_eq!(place(&path).slots().unwrap(), [0]);
}

#[test]
fn sixty_four_processes_start_together() {
    let directory = directory();
    place(directory.path()).create(0, vec![]).unwrap();
    let mut players: Vec<_> =
        (0..64).map(|n| Player::start("start", directory.path(), n)).collect();
    players.iter_mut().for_each(|player| assert_eq!(player.hear().as_deref(), Some("ready")));
    players.iter_mut().for_each(Player::go);
    players.into_iter().for_each(Player::ends_well);
    assert_eq!(place(directory.path()).open(0).unwrap().sequence(), Ok(Sequence(64)));
}

#[test]
fn presence_ends_with_its_process() {
    let directory = directory();
    let store = place(directory.path()).create(0, vec![]).unwrap();
    let player = Player::at_word("present", "be present", directory.path(), 0);
    assert!(store.alone().unwrap().is_none());
    player.kill();
    assert!(store.alone().unwrap().is_some());
}

#[test]
fn what_another_process_commits_and_makes_is_noticed() {
    let directory = directory();
    let place = place(directory.path());
    let store = place.create(0, vec![]).unwrap();
    let (generation, slots) = (store.generation(), place.slots().unwrap());
    assert_eq!(slots, [0]);
    Player::start("commit once", directory.path(), 0).ends_well();
    assert_ne!(store.generation(), generation);
    let theirs = Changes::Records { records: vec![(KIND, id("theirs"))], now: Sequence(1) };
    assert_eq!(store.changes(Sequence(0)).unwrap(), theirs);
    assert_eq!(place.slots().unwrap(), [0, 5]);
}

#[test]
fn a_forked_child_opens_the_token_anew() {
    let directory = directory();
    place(directory.path()).create(0, vec![]).unwrap();
    Player::start("fork", directory.path(), 0).ends_well();
    assert_eq!(place(directory.path()).open(0).unwrap().sequence(), Ok(Sequence(4)));
}

#[test]
fn a_child_forked_amid_a_commit_is_refused_instead_of_hanging() {
    let directory = directory();
    place(directory.path()).create(0, vec![]).unwrap();
    Player::start("fork amid a commit", directory.path(), 0).ends_well();
    assert_eq!(place(directory.path()).open(0).unwrap().sequence(), Ok(Sequence(1)));
}

#[test]
fn a_fork_does_not_wait_for_who_opens_a_token_with_a_stopped_writer() {
    let directory = directory();
    place(directory.path()).create(0, vec![]).unwrap();
    let stopped = Player::at_word("stopped", "stop amid a commit", directory.path(), 0);
    stopped.signal(Signal::SIGSTOP);
    // Only who must make it anew waits for the writer to open a token.
    std::fs::remove_file(directory.path().join("slot-0").join("generation")).unwrap();
    let opening = Player::at_word("forked", "fork while it waits", directory.path(), 0);
    stopped.kill();
    opening.ends_well();
}

/// Runs `child` in a forked child, which ends with it.
fn in_child(child: impl FnOnce()) -> Pid {
    // SAFETY: the child runs `child` and ends without returning. Only this process's
    // test thread uses the store, so its locks are as this thread left them; the C
    // library keeps its allocator usable in a forked child.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
            // SAFETY: ends the process at once, running nothing of the parent's.
            unsafe { nix::libc::_exit(i32::from(done.is_err())) }
        }
    }
}

fn succeeded(child: Pid) {
    assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
}

fn fork_and_go_on(parents: &DirectoryPlace, path: &Path) {
    let store = parents.open(0).unwrap();
    commit(&*store, &[put("before", 0, b"", &[])]).unwrap();
    let present = store.present().unwrap().unwrap();
    let open = store.reserve(&id("user"), 5).unwrap();
    let (mut from_parent, to_child) = pipe().unwrap();
    let (mut from_child, mut to_parent) = pipe().unwrap();
    let mut to_child = Some(to_child);
    let child = in_child(|| {
        drop(to_child.take());
        // Refused as long as the inherited connections are open.
        assert!(matches!(place(path).open(0).err(), Some(Error::StoreIo { .. })));
        abandon_inherited();
        let anew = place(path).open(0).unwrap();
        commit(&*anew, &[put("child", 0, b"", &[])]).unwrap();
        assert!(anew.alone().unwrap().is_none(), "the parent is still present");
        assert_eq!(failures(&*anew, "user"), 0, "the parent's attempt is still open");
        to_parent.write_all(b"1").unwrap();
        from_parent.read_to_end(&mut Vec::new()).unwrap();
        // The parent has closed the store: its log must still be the one in use.
        assert!(anew.alone().unwrap().is_some());
        commit(&*anew, &[put("afterwards", 0, b"", &[])]).unwrap();
    });
    from_child.read_exact(&mut [0]).unwrap();
    open.succeed().unwrap();
    assert!(store.get(KIND, &id("child")).unwrap().is_some());
    commit(&*store, &[put("parent", 0, b"", &[])]).unwrap();
    // No descriptor that the child still has keeps anybody away.
    drop(present);
    drop(store.alone().unwrap().unwrap());
    drop(store);
    drop(to_child);
    succeeded(child);
}

fn fork_amid_a_commit(parents: &DirectoryPlace, path: &Path) {
    let store = parents.open(0).unwrap();
    let mut child = None;
    let committed = store.write(&mut |_| {
        child = Some(in_child(|| {
            abandon_inherited();
            assert!(matches!(place(path).open(0).err(), Some(Error::StoreIo { .. })));
            // Nor anything else that SQLite would have to do.
            assert!(matches!(place(path).create(1, vec![]).err(), Some(Error::StoreIo { .. })));
            assert!(!path.join("slot-1").exists());
            // Who was inside stayed in the parent: the child's own forks wait for nobody.
            after_fork(true);
            assert!(before_fork());
            after_fork(false);
            assert!(matches!(place(path).open(0).err(), Some(Error::StoreIo { .. })));
        }));
        Ok(vec![put("one", 0, b"", &[])])
    });
    assert_eq!(committed, Ok(Sequence(1)));
    succeeded(child.unwrap());
}
