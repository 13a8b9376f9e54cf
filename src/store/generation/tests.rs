//! One page in several mappings, and what others may do to its file.

use super::guard::PageGuard;
use super::*;
use crate::entropy::OsEntropy;
use std::fs;

fn page() -> (tempfile::TempDir, PathBuf, GenerationPage) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("generation");
    let page = GenerationPage::open_or_make(&path, &OsEntropy).unwrap();
    (directory, path, page)
}

fn open(path: &Path, writable: bool) -> Option<GenerationPage> {
    GenerationPage::open(path, writable, &OsEntropy).unwrap()
}

#[test]
fn a_commit_is_odd_meanwhile_and_even_afterwards_in_every_mapping() {
    let (_directory, path, page) = page();
    let other = open(&path, false).unwrap();
    let before = other.read();
    assert!(before.is_settled());
    assert!(page.begin());
    assert!(!other.read().is_settled());
    page.end();
    let after = other.read();
    assert!(after.is_settled());
    assert_ne!(after, before);
    assert_eq!(after.incarnation, before.incarnation);
}

#[test]
fn a_page_left_odd_is_repaired_to_a_count_that_nobody_has_seen() {
    let (_directory, _, page) = page();
    let before = page.read();
    page.begin();
    let left_by_the_dead = page.read();
    page.begin();
    assert_eq!(page.read(), left_by_the_dead);
    page.end();
    assert!(page.read().is_settled());
    assert_ne!(page.read(), before);
}

#[test]
fn retired_is_for_ever() {
    let (_directory, _, page) = page();
    page.retire();
    page.begin();
    page.end();
    assert!(page.is_retired());
    assert!(!page.read().is_settled());
}

#[test]
fn foreign_truncated_and_missing_pages_are_told_apart_from_ours() {
    let (_directory, path, page) = page();
    let first = page.read();
    drop(page);
    for content in [&b""[..], &[7; 100], &[0; SIZE], &[0xff; SIZE]] {
        fs::write(&path, content).unwrap();
        assert!(open(&path, true).is_none());
    }
    let remade = GenerationPage::open_or_make(&path, &OsEntropy).unwrap();
    assert_ne!(remade.read().incarnation, first.incarnation);
    assert_eq!(open(&path, true).unwrap().read(), remade.read());
    fs::remove_file(&path).unwrap();
    assert!(open(&path, true).is_none());
}

#[test]
fn a_link_in_the_page_s_place_is_refused() {
    let (directory, path, page) = page();
    drop(page);
    let elsewhere = directory.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    let refused = GenerationPage::open(&path, true, &OsEntropy);
    assert!(matches!(refused, Err(Error::StoreIo { .. })));
    let refused = GenerationPage::open_or_make(&path, &OsEntropy);
    assert!(matches!(refused, Err(Error::StoreIo { .. })));
}

#[test]
fn a_page_that_was_cut_off_says_ask_the_store_until_a_writer_has_remade_it() {
    let _guard = PageGuard::new();
    let (_directory, path, page) = page();
    let other = open(&path, false).unwrap();
    let before = page.read();
    fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    // The signal comes here, in the middle of a load.
    assert_eq!((other.read(), page.read()), (LOST, LOST));
    assert!(!LOST.is_settled() && !page.is_retired() && !page.begin());
    assert!(!other.is_current() && !page.is_current());
    assert!(!other.adopt().unwrap());
    page.repair().unwrap();
    assert!(page.read().is_settled());
    assert_ne!(page.read().incarnation, before.incarnation);
    assert!(other.adopt().unwrap());
    assert_eq!(other.read(), page.read());
}

#[test]
fn a_page_that_was_overwritten_means_nothing_that_it_meant_before() {
    let (_directory, path, page) = page();
    let old = fs::read(&path).unwrap();
    let seen = page.read();
    page.begin();
    page.end();
    fs::write(path.with_extension("old"), &old).unwrap();
    // In place, as `cp` does it; both mappings see it.
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&old, 0).unwrap();
    assert_eq!(page.read(), seen);
    page.repair().unwrap();
    page.begin();
    page.end();
    let (first, second) = (page.read(), {
        file.write_all_at(&old, 0).unwrap();
        page.begin();
        page.end();
        page.read()
    });
    assert_ne!(first, second, "the same count would stand for two states");
    file.write_all_at(&[0xff; SIZE], 0).unwrap();
    assert!(!page.is_retired() && !page.is_current());
    page.repair().unwrap();
    assert!(page.read().is_settled());
}

#[test]
fn a_page_that_was_replaced_sends_those_who_have_the_old_one_to_the_store() {
    let (_directory, path, writer) = page();
    let reader = open(&path, false).unwrap();
    let seen = reader.read();
    let copy = path.with_extension("copy");
    fs::copy(&path, &copy).unwrap();
    fs::rename(&copy, &path).unwrap();
    assert_eq!(reader.read(), seen);
    assert!(!reader.is_current() && !writer.is_current());
    // The next writer leaves the old one odd, and the new one as nobody has seen it.
    writer.repair().unwrap();
    assert!(!reader.read().is_settled());
    assert!(reader.adopt().unwrap());
    assert_eq!(reader.read(), writer.read());
    assert!(reader.read().is_settled());
    assert_ne!(reader.read(), seen);
    fs::remove_file(&path).unwrap();
    assert!(!reader.is_current());
    assert!(!reader.adopt().unwrap());
    assert_eq!(reader.read(), LOST);
    writer.repair().unwrap();
    assert!(reader.adopt().unwrap());
    writer.distrust();
    assert_eq!(writer.read(), LOST);
    writer.repair().unwrap();
    assert!(writer.read().is_settled());
}

#[test]
fn a_waiter_is_woken_when_its_turn_comes_and_the_dead_hold_up_nobody() {
    let (_directory, path, here) = page();
    let there = open(&path, true).unwrap();
    let (first, second, third) = (here.take_ticket(), there.take_ticket(), here.take_ticket());
    assert_eq!((first, here.turn()), (second - 1, there.turn()));
    let long = Duration::from_secs(3600);
    let rings = there.rings(second);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| there.await_turn(second, rings, long));
        here.pass_turn(first);
        assert!(waiting.join().unwrap());
        assert_eq!(there.turn(), second);
    });
    // What has rung before one sleeps does not ring again.
    assert!(there.await_turn(second, there.rings(second).wrapping_sub(1), long));
    assert!(!there.await_turn(second, there.rings(second), Duration::from_millis(1)));
    // One out of turn does not set the clock back when the late one is done.
    here.pass_turn(third);
    there.pass_turn(second);
    assert_eq!(here.turn(), third + 1);
    // Tickets far apart share a bell.
    assert!((0..BELLS).all(|ticket| here.rings(ticket) == here.rings(ticket + BELLS)));
}
