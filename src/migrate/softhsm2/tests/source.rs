//! Tokens as SoftHSM2 stores them, written from the facts of its formats.

use crate::mechanism::digest;
use crate::secret::SecretBytes;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The user's PIN.
pub const PIN: &[u8] = b"1234";
/// The value of every key.
pub const VALUE: &[u8] = b"the value of a key of some length";
/// The token's key.
const KEY: [u8; 32] = [0x5a; 32];
/// `CKA_PRIVATE`.
const PRIVATE: u64 = 2;

/// An attribute's value.
#[derive(Debug, Clone)]
pub enum Attribute {
    Flag(bool),
    Number(u64),
    /// Encrypted if the object is private.
    Bytes(Vec<u8>),
    /// Stored as it is.
    Plain(Vec<u8>),
    Mechanisms(Vec<u64>),
    Template(Vec<u8>),
}

/// Replaces an attribute, or takes it away.
pub fn set(object: &mut Vec<(u64, Attribute)>, number: u64, value: Option<Attribute>) {
    object.retain(|(other, _)| *other != number);
    object.extend(value.map(|value| (number, value)));
}

/// A generic secret, with all that SoftHSM2 2.6 stores of one.
pub fn key(private: bool) -> Vec<(u64, Attribute)> {
    let check_value = digest::check_value(&SecretBytes::copied(VALUE)).to_vec();
    let mut key = vec![
        (0, Attribute::Number(4)),
        (1, Attribute::Flag(true)),
        (PRIVATE, Attribute::Flag(private)),
        (3, Attribute::Bytes(b"a label".to_vec())),
        (0x11, Attribute::Bytes(VALUE.to_vec())),
        (0x90, Attribute::Bytes(check_value)),
        (0x100, Attribute::Number(0x10)),
        (0x102, Attribute::Bytes(vec![1, 2, 3])),
        (0x110, Attribute::Plain(Vec::new())),
        (0x111, Attribute::Plain(Vec::new())),
        (0x161, Attribute::Number(33)),
        (0x166, Attribute::Number(0x350)),
        (0x4000_0211, Attribute::Template(Vec::new())),
        (0x4000_0212, Attribute::Template(Vec::new())),
    ];
    // Trusted, encrypt, decrypt, wrap, unwrap, verify, derive, extractable, modifiable,
    // destroyable, wrap with trusted.
    for number in [0x86, 0x104, 0x105, 0x106, 0x107, 0x10a, 0x10c, 0x162, 0x170, 0x172, 0x210] {
        key.push((number, Attribute::Flag(false)));
    }
    // Sensitive, sign, local, never extractable, always sensitive, copyable.
    for number in [0x103, 0x108, 0x163, 0x164, 0x165, 0x171] {
        key.push((number, Attribute::Flag(true)));
    }
    key
}

/// A data object.
pub fn data(private: bool, value: &[u8]) -> Vec<(u64, Attribute)> {
    vec![
        (0, Attribute::Number(0)),
        (1, Attribute::Flag(true)),
        (PRIVATE, Attribute::Flag(private)),
        (3, Attribute::Bytes(b"data".to_vec())),
        (0x10, Attribute::Bytes(b"app".to_vec())),
        (0x11, Attribute::Bytes(value.to_vec())),
        (0x12, Attribute::Bytes(vec![6, 1, 5])),
        (0x170, Attribute::Flag(true)),
        (0x171, Attribute::Flag(true)),
        (0x172, Attribute::Flag(true)),
    ]
}

/// A token directory with one token in it.
pub struct Source {
    directory: TempDir,
}

impl Source {
    pub fn file(objects: &[Vec<(u64, Attribute)>]) -> Self {
        let source = Self::empty();
        source.write("token.object", encoded(&token()));
        source.write("generation", [0, 0, 0, 0, 0, 0, 0, 1]);
        for (number, object) in objects.iter().enumerate() {
            source.write(&format!("{number:08}.object"), encoded(object));
            source.write(&format!("{number:08}.lock"), []);
        }
        source
    }

    pub fn database(objects: &[Vec<(u64, Attribute)>]) -> Self {
        let source = Self::empty();
        let connection = Connection::open(source.token().join("sqlite3.db")).unwrap();
        connection.execute_batch("PRAGMA synchronous = OFF; BEGIN").unwrap();
        connection
            .execute_batch("CREATE TABLE object (id integer primary key autoincrement)")
            .unwrap();
        for kind in ["boolean", "integer", "binary", "array", "text", "datetime", "real"] {
            let table = format!(
                "CREATE TABLE attribute_{kind} (value, type integer, \
                 object_id integer references object(id) on delete cascade, \
                 id integer primary key autoincrement)"
            );
            connection.execute_batch(&table).unwrap();
        }
        insert(&connection, &token());
        objects.iter().for_each(|object| insert(&connection, object));
        connection.execute_batch("COMMIT").unwrap();
        source
    }

    fn empty() -> Self {
        let source = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::create_dir(source.token()).unwrap();
        source
    }

    /// SoftHSM2's token directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The directory of the token.
    pub fn token(&self) -> PathBuf {
        self.path().join("6e7709f1-c4c8-0582-7546-7704355d195b")
    }

    /// Makes a file of the token.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.token().join(name), content).unwrap();
    }

    /// Does what C_InitToken does to the user's PIN.
    pub fn forget_user_pin(&self) {
        let mut without = token();
        set(&mut without, 0x8000_534d, None);
        let database = self.token().join("sqlite3.db");
        if database.exists() {
            let connection = Connection::open(database).unwrap();
            connection.execute("DELETE FROM attribute_binary WHERE type = 0x8000534d", []).unwrap();
        } else {
            self.write("token.object", encoded(&without));
        }
    }
}

/// The token itself.
fn token() -> Vec<(u64, Attribute)> {
    let salt = [1, 2, 3, 4, 5, 6, 7, 9];
    let mut pin_key: [u8; 32] = Sha256::new_with_prefix(salt).chain_update(PIN).finalize().into();
    for _ in 0..1500 + 9 - 1 {
        pin_key = Sha256::digest(pin_key).into();
    }
    let sealed = [&salt[..], &seal(&pin_key, &[b"RJR", &KEY[..]].concat())].concat();
    vec![
        (0x8000_5349, Attribute::Plain(format!("{:32}", "source").into_bytes())),
        (0x8000_534a, Attribute::Plain(b"0123456789abcdef".to_vec())),
        (0x8000_534b, Attribute::Number(0x42d)),
        (0x8000_534c, Attribute::Plain(vec![7; 72])),
        (0x8000_534d, Attribute::Plain(sealed)),
    ]
}

fn seal(key: &[u8; 32], plain: &[u8]) -> Vec<u8> {
    let vector = [0x33; 16];
    let cipher = cbc::Encryptor::<aes::Aes256>::new(key.into(), &vector.into());
    let mut buffer = [plain, &[0; 16]].concat();
    let sealed = cipher.encrypt_padded::<Pkcs7>(&mut buffer, plain.len()).unwrap();
    [&vector[..], sealed].concat()
}

/// The bytes of an attribute as they are stored.
fn stored(object: &[(u64, Attribute)], bytes: &[u8]) -> Vec<u8> {
    let is_private = |(number, value): &(u64, Attribute)| {
        *number == PRIVATE && matches!(value, Attribute::Flag(true))
    };
    if object.iter().any(is_private) { seal(&KEY, bytes) } else { bytes.to_vec() }
}

/// An object's file.
pub fn encoded(object: &[(u64, Attribute)]) -> Vec<u8> {
    let mut file = 7_u64.to_be_bytes().to_vec();
    for (attribute, value) in object {
        let (kind, count, bytes) = match value {
            Attribute::Flag(flag) => (1, None, vec![if *flag { 0xff } else { 0 }]),
            Attribute::Number(number) => (2, None, number.to_be_bytes().to_vec()),
            Attribute::Bytes(bytes) => (3, Some(1), stored(object, bytes)),
            Attribute::Plain(bytes) => (3, Some(1), bytes.clone()),
            Attribute::Template(bytes) => (4, Some(1), bytes.clone()),
            Attribute::Mechanisms(list) => {
                (5, Some(8), list.iter().flat_map(|number| number.to_be_bytes()).collect())
            }
        };
        let count = count.map(|size| bytes.len() as u64 / size);
        for number in [*attribute, kind].into_iter().chain(count) {
            file.extend(number.to_be_bytes());
        }
        file.extend(bytes);
    }
    file
}

/// An object's rows.
fn insert(connection: &Connection, object: &[(u64, Attribute)]) {
    connection.execute("INSERT INTO object DEFAULT VALUES", []).unwrap();
    let id = connection.last_insert_rowid();
    for (attribute, value) in object {
        let insert = |table: &str, value: &dyn rusqlite::ToSql| {
            let insert = format!("INSERT INTO {table} (value, type, object_id) VALUES (?, ?, ?)");
            let attribute = attribute.cast_signed();
            connection.execute(&insert, rusqlite::params![value, attribute, id]).unwrap();
        };
        match value {
            Attribute::Flag(flag) => insert("attribute_boolean", &i64::from(*flag)),
            Attribute::Number(number) => insert("attribute_integer", &number.cast_signed()),
            Attribute::Bytes(bytes) => insert("attribute_binary", &stored(object, bytes)),
            Attribute::Plain(bytes) => insert("attribute_binary", bytes),
            Attribute::Template(bytes) => insert("attribute_array", bytes),
            Attribute::Mechanisms(list) => {
                let bytes: Vec<u8> = list.iter().flat_map(|number| number.to_le_bytes()).collect();
                insert("attribute_binary", &bytes);
            }
        }
    }
}
