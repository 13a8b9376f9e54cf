//! SoftHSM2's other back-end. Debian builds the package without it, so a token that the
//! package has made with files is put into a database, as SoftHSM2 would have: the same
//! attributes in its tables, the ciphertexts as they are. Where `SOFTHSM2_MODULE` names a
//! build that makes databases, they are taken as they come.

#![allow(dead_code)]

use rusqlite::{Connection, params};
use std::fs;
use std::path::Path;

/// The tables as SoftHSM2 2.6.1 makes them; the type of each one's values.
const TABLES: [(&str, &str); 7] = [
    ("text", "text"),
    ("integer", "integer"),
    ("binary", "blob"),
    ("array", "blob"),
    ("boolean", "boolean"),
    ("datetime", "datetime"),
    ("real", "real"),
];

/// Replaces the files of a token's directory by a database.
pub fn to_database(token: &Path) {
    let database = token.join("sqlite3.db");
    if database.exists() {
        return;
    }
    let connection = Connection::open(database).unwrap();
    connection
        .execute_batch("BEGIN; CREATE TABLE object (id integer primary key autoincrement)")
        .unwrap();
    for (table, value) in TABLES {
        let create = format!(
            "CREATE TABLE attribute_{table} (value {value}, type integer, object_id integer \
             references object(id) on delete cascade, id integer primary key autoincrement)"
        );
        connection.execute_batch(&create).unwrap();
    }
    let mut objects: Vec<_> = fs::read_dir(token)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "object"))
        .collect();
    // The token itself comes first.
    objects.sort_by_key(|path| !path.ends_with("token.object"));
    for path in &objects {
        connection.execute("INSERT INTO object DEFAULT VALUES", []).unwrap();
        insert(&connection, connection.last_insert_rowid(), &fs::read(path).unwrap()[8..]);
    }
    connection.execute_batch("COMMIT").unwrap();
    for entry in fs::read_dir(token).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() != "sqlite3.db" {
            fs::remove_file(path).unwrap();
        }
    }
}

/// The attributes of an object's file as rows.
fn insert(connection: &Connection, object: i64, mut rest: &[u8]) {
    let mut take = |length: usize| {
        let (taken, behind) = rest.split_at(length);
        rest = behind;
        (taken.to_vec(), behind.is_empty())
    };
    let number = |bytes: Vec<u8>| i64::from_be_bytes(bytes.try_into().unwrap());
    loop {
        let attribute = number(take(8).0);
        let kind = number(take(8).0);
        let mut counted = |size: usize| {
            let count = usize::try_from(number(take(8).0)).unwrap();
            take(count * size).0
        };
        let put = |table: &str, value: &dyn rusqlite::ToSql| {
            let insert =
                format!("INSERT INTO attribute_{table} (value, type, object_id) VALUES (?, ?, ?)");
            connection.execute(&insert, params![value, attribute, object]).unwrap();
        };
        match kind {
            1 => put("boolean", &(take(1).0 != [0])),
            2 => put("integer", &number(take(8).0)),
            3 => put("binary", &counted(1)),
            4 => {
                let template = counted(1);
                // The layouts differ, and no test sets one.
                assert!(template.is_empty(), "a template");
                put("array", &template);
            }
            5 => {
                let swapped = counted(8)
                    .chunks(8)
                    .flat_map(|one| one.iter().rev().copied().collect::<Vec<_>>())
                    .collect::<Vec<u8>>();
                put("binary", &swapped);
            }
            _ => panic!("an attribute of kind {kind}"),
        }
        if take(0).1 {
            return;
        }
    }
}
