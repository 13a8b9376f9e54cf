//! What was done to a token's file outside the token.

use super::place::*;
use rusqlite::Connection;

/// A token with two keys, and their unique ids.
fn with_keys() -> (Place, [String; 2]) {
    let place = Place::with_token();
    for label in ["a", "b"] {
        place.says(&["key", "generate", "--token", "demo", "--key", label], "Generated");
    }
    let ids = ids(&place);
    (place, [ids[0].clone(), ids[1].clone()])
}

fn file(place: &Place) -> Connection {
    Connection::open(place.database()).unwrap()
}

/// The unique ids of the private objects, in the order they were made.
fn ids(place: &Place) -> Vec<String> {
    let file = file(place);
    let mut statement =
        file.prepare("SELECT id FROM records WHERE kind = 3 ORDER BY number").unwrap();
    let ids = statement.query_map((), |row| row.get(0)).unwrap();
    ids.map(Result::unwrap).collect()
}

/// What is printed about damage that `sql` does, whose `$a` and `$b` are the keys' ids.
#[track_caller]
fn found(sql: &str) -> (String, [String; 2]) {
    let (place, ids) = with_keys();
    let sql = sql.replace("$a", &format!("'{}'", ids[0])).replace("$b", &format!("'{}'", ids[1]));
    file(&place).execute_batch(&sql).unwrap();
    let output = place.run(&["token", "check", "demo"]);
    let (out, err) = texts(&output);
    assert!(output.status.code() == Some(1) && err.contains(" wrong with \"demo\""), "{out}{err}");
    // The other one works.
    place.says(&["token", "show", "demo"], "writable:              yes");
    (out, ids)
}

#[test]
fn a_sound_token_is_found_so() {
    let (place, _) = with_keys();
    for who in [&[][..], &["--so"]] {
        let out = place.says(&[&["token", "check", "demo"], who].concat(), "token.db: ");
        assert!(out.contains("Keys and data objects: 2\nNothing is wrong with \"demo\".\n"));
    }
    place.fails(&["token", "check", "other"], 4, "no token is labelled");
    fails(&place.run_with(&["token", "check", "demo"], Some("4321"), b""), 4, "9 attempts left");
}

#[test]
fn each_damage_is_named() {
    let (out, [a, _]) = found("UPDATE records SET body = zeroblob(200) WHERE id = $a");
    assert!(out.contains(&format!("{a}: altered: its content is not")), "{out}");
    let (out, [_, b]) = found("DELETE FROM records WHERE id = $b");
    assert!(out.contains("The file: the look-up table leads to no record"), "{out}");
    assert!(out.contains(&format!("{b}: missing: it was removed")), "{out}");
    let (out, [a, b]) =
        found("UPDATE records SET body = (SELECT body FROM records WHERE id = $a) WHERE id = $b");
    assert!(out.contains(&format!("{b}: swapped or copied: it holds the content of {a}")), "{out}");
    let (out, [_, b]) = found("UPDATE records SET id = 'somebody-else' WHERE id = $b");
    assert!(out.contains("somebody-else: swapped or copied: it holds the content of"), "{out}");
    assert!(out.contains(&format!("{b}: missing")), "{out}");
    let (out, [a, _]) =
        found("DELETE FROM tags WHERE number = (SELECT number FROM records WHERE id = $a)");
    assert!(out.contains(&format!("{a} \"a\": look-up: ")), "{out}");
    let (out, _) = found("UPDATE records SET body = zeroblob(100) WHERE kind = 6");
    assert!(out.contains("part of the list of records is damaged"), "{out}");
}

#[test]
fn a_damaged_key_keeps_nobody_from_listing_the_others() {
    let (place, [a, b]) = with_keys();
    let sql = format!("UPDATE records SET body = zeroblob(200) WHERE id = '{a}'");
    file(&place).execute_batch(&sql).unwrap();
    let list = place.run(&["key", "list", "--token", "demo"]);
    let (out, err) = texts(&list);
    assert_eq!(list.status.code(), Some(1), "{out}{err}");
    assert!(out.contains(&b) && !out.contains(&a), "{out}");
    assert!(err.contains(&a) && err.contains("1 damaged; `signet token check`"), "{err}");
}

#[test]
fn a_damaged_key_keeps_nobody_from_backing_up_another() {
    let (place, [a, _]) = with_keys();
    let sql = format!("UPDATE records SET body = zeroblob(200) WHERE id = '{a}'");
    file(&place).execute_batch(&sql).unwrap();
    let passphrase = place.file("passphrase", "a passphrase of many bytes\n");
    let create = |key: &[&str]| {
        let to = place.path().join("backup").to_str().unwrap().to_owned();
        let options = ["--force", "--passphrase-file", &passphrase];
        let arguments = [&["backup", "create", "--token", "demo"], key, &options, &[&to]].concat();
        place.run(&arguments)
    };
    let (_, err) = texts(&create(&["--key", "b"]));
    assert!(err.is_empty(), "{err}");
    fails(&create(&["--key", "a"]), 1, &a);
    fails(&create(&[]), 1, &a);
}

#[test]
fn a_removed_record_keeps_nobody_from_finding_the_others() {
    let (place, [a, _]) = with_keys();
    file(&place).execute_batch(&format!("DELETE FROM records WHERE id = '{a}'")).unwrap();
    place.says(&["key", "list", "--token", "demo"], "label \"b\"");
}

#[test]
fn damage_of_the_file_itself_is_told_in_sqlite_s_words() {
    let (place, _) = with_keys();
    {
        let file = file(&place);
        file.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let root: u32 = file
            .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'changes'", (), |row| {
                row.get(0)
            })
            .unwrap();
        drop(file);
        // The header of the change log's first page: no cell begins where it says.
        let path = place.database();
        let mut content = std::fs::read(&path).unwrap();
        let page = usize::try_from((root - 1) * 4096).unwrap();
        content[page + 8..page + 10].copy_from_slice(&[0xff, 0xff]);
        std::fs::write(&path, content).unwrap();
    }
    let output = place.run(&["token", "check", "demo"]);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    assert!(out.contains("The file: "), "{out}{err}");
}

#[test]
fn what_is_damaged_is_set_aside_and_the_rest_is_whole() {
    let (place, [a, b]) = with_keys();
    let sign = ["mac", "sign", "--token", "demo", "--key", "b"];
    let mac = place.says(&sign, "");
    let list = ["token", "quarantine", "demo"];
    place.says(&list, "Nothing is in quarantine.");
    file(&place)
        .execute_batch(&format!(
            "UPDATE records SET body = zeroblob(200) WHERE id = '{a}';
             UPDATE records SET body = zeroblob(80) WHERE kind = 1 AND id = 'so';
             UPDATE records SET tags = x'' WHERE id = '{b}'"
        ))
        .unwrap();
    let quarantine = ["token", "check", "demo", "--quarantine"];
    let out = place.says(&quarantine, "Set aside: 2. The rest is listed anew:");
    assert!(out.ends_with("Nothing is wrong with \"demo\".\n"), "{out}");
    assert_eq!(place.says(&sign, ""), mac);
    place.says(&["token", "check", "demo"], "Keys and data objects: 1\nNothing is wrong");
    place.says(&quarantine, "Nothing is wrong");
    place.says(&["token", "show", "demo"], "security officer PIN:  not set");
    let out = place.says(&list, &format!("{a}: 200 bytes, since 20"));
    assert!(out.contains("so: 80 bytes, since 20") && out.contains("altered"), "{out}");
    place.says(&["token", "quarantine", "demo", "--discard", &a], &format!("Discarded {a}."));
    place.fails(
        &["token", "quarantine", "demo", "--discard", &a],
        1,
        &format!("nothing is in quarantine under \"{a}\""),
    );
    assert_eq!(place.says(&list, "so: 80 bytes").lines().count(), 1);
    place.says(&["token", "check", "demo"], "Nothing is wrong");
}
