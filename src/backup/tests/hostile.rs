//! Files that were cut, edited, put together anew, or sealed by somebody who means ill
//! and has the key.

use super::super::format::{CHUNK_LEN, FRAME_MAX, Frame, MAC_LEN, MAGIC, Method, VERSION};
use super::*;
use crate::types::AttributeValue;
use crate::vault::{FileKey, StreamCipher};
use proptest::prelude::*;

const SEALED_LEN: usize = CHUNK_LEN + StreamCipher::OVERHEAD;
/// Magic, version, method, three numbers, salt, MAC.
const HEADER_LEN: usize = 16 + 2 + 12 + 16 + MAC_LEN;

/// Seals any plain text as a backup is sealed.
fn forged(plain: &[u8]) -> Vec<u8> {
    forged_as(VERSION, plain)
}

/// The same in this version of the format.
fn forged_as(version: u8, plain: &[u8]) -> Vec<u8> {
    let salt = [9; FileKey::SALT_LEN];
    let key = FileKey::of_passphrase(&pin(PASSPHRASE), &salt, CHEAP).unwrap();
    let header = Method::Passphrase { parameters: CHEAP, salt }.header(version);
    let mut file = [&header[..], &key.header_mac(&header).unwrap()].concat();
    let mut cipher = key.cipher(&header).unwrap();
    let chunks: Vec<_> = plain.chunks(CHUNK_LEN).collect();
    for (index, chunk) in chunks.iter().enumerate() {
        let mut chunk = chunk.to_vec();
        let tag = cipher.seal(&mut chunk, index + 1 == chunks.len()).unwrap();
        file.extend(chunk);
        file.extend(tag);
    }
    file
}

fn frame(frame: Frame, content: &[u8]) -> Vec<u8> {
    [&frame.head(content.len()).unwrap()[..], content].concat()
}

fn description() -> Vec<u8> {
    let description = Description {
        label: "forged".into(),
        serial: "0".repeat(16),
        created: UNIX_EPOCH,
        is_whole: true,
    };
    frame(Frame::Description, &description.encode().unwrap())
}

fn end(count: u64) -> Vec<u8> {
    frame(Frame::End, &count.to_be_bytes())
}

fn bound(object: &Object) -> Vec<u8> {
    frame(Frame::Bound, codec::encode(object, true).unwrap().expose())
}

/// A backup of one small object.
fn short_backup() -> Vec<u8> {
    let token = token();
    insert(&token, data(b"d", b"data", NO));
    sealed_backup(&token)
}

/// A backup of several chunks.
fn long_backup() -> Vec<u8> {
    let token = token();
    for index in 0..4 {
        insert(&token, data(&[index], &vec![index; CHUNK_LEN], YES));
    }
    sealed_backup(&token)
}

#[test]
fn a_file_that_was_cut_anywhere_is_refused() {
    let file = short_backup();
    for length in 0..file.len() {
        let why = refusal(by_passphrase(&file[..length]));
        let words = ["is empty", "not a backup", "cut off", "part 1 was changed, or"];
        assert!(words.iter().any(|words| why.contains(words)), "{length}: {why}");
    }
    let file = long_backup();
    for chunks in 0..4 {
        for length in [0, 1, 20, SEALED_LEN - 1] {
            let cut = &file[..HEADER_LEN + chunks * SEALED_LEN + length];
            assert!(refusal(by_passphrase(cut)).contains("cut off"), "{chunks} {length}");
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let file = short_backup();
    for index in 0..file.len() {
        let mut edited = file.clone();
        edited[index] ^= 1 << (index % 8);
        let why = refusal(by_passphrase(&edited));
        assert!(!why.is_empty(), "{index}");
    }
}

#[test]
fn chunks_that_were_moved_repeated_left_out_or_brought_are_noticed() {
    let file = long_backup();
    let (header, chunks) = file.split_at(HEADER_LEN);
    let chunks: Vec<_> = chunks.chunks(SEALED_LEN).collect();
    assert_eq!(chunks.len(), 5);
    let other = long_backup();
    let other: Vec<_> = other[HEADER_LEN..].chunks(SEALED_LEN).collect();
    let put = |order: &[&[u8]]| [header, &order.concat()].concat();
    assert!(by_passphrase(&put(&chunks)).is_ok());
    for (order, part) in [
        ([1, 0, 2, 3, 4], 1),
        ([0, 2, 1, 3, 4], 2),
        ([0, 0, 1, 2, 4], 2),
        ([0, 1, 2, 2, 4], 4),
        ([4, 1, 2, 3, 0], 1),
    ] {
        let mixed = put(&order.map(|index| chunks[index]));
        assert!(refusal(by_passphrase(&mixed)).contains(&format!("part {part} was changed")));
    }
    let left_out = put(&[chunks[0], chunks[1], chunks[2], chunks[4]]);
    assert!(refusal(by_passphrase(&left_out)).contains("part 4 was changed"));
    let brought = put(&[chunks[0], other[1], chunks[2], chunks[3], chunks[4]]);
    assert!(refusal(by_passphrase(&brought)).contains("part 2 was changed"));
    let twice = [&file[..], &file].concat();
    assert!(refusal(by_passphrase(&twice)).contains("part 5 was changed"));
    let longer = [&file[..], b"x"].concat();
    assert!(refusal(by_passphrase(&longer)).contains("part 5 was changed"));
}

#[test]
fn a_header_that_asks_for_absurd_work_is_refused_before_any_work() {
    let most = PARAMETERS_MAX;
    for parameters in [
        PinParameters { memory_kib: u32::MAX, iterations: u32::MAX, lanes: u32::MAX },
        PinParameters { memory_kib: most.memory_kib + 1, ..CHEAP },
        PinParameters { iterations: most.iterations + 1, ..CHEAP },
        PinParameters { memory_kib: most.memory_kib, iterations: 4, lanes: 1 },
        PinParameters { lanes: most.lanes + 1, memory_kib: most.memory_kib, iterations: 1 },
        PinParameters { memory_kib: 0, ..CHEAP },
        PinParameters { iterations: 0, ..CHEAP },
        PinParameters { lanes: 0, ..CHEAP },
        PinParameters { lanes: 2, ..CHEAP },
    ] {
        let header = Method::Passphrase { parameters, salt: [0; 16] }.header(VERSION);
        let file = [&header[..], &[0; MAC_LEN]].concat();
        let why = refusal(Locked::read(Box::new(&file[..]), Path::new(NAME)));
        assert!(why.contains("Argon2id, as no backup does"), "{parameters:?}: {why}");
    }
}

#[test]
fn what_is_something_else_is_called_so() {
    for (file, why) in [
        (&b""[..], "it is empty"),
        (b"-----BEGIN PGP MESSAGE-----", "it is not a backup of a token"),
        (b"signet back", "it was cut off: a backup is longer"),
        (b"signet backup\n\x1a\0\0\x01\x01", "it is not a backup of a token"),
        (b"signet backup\r\n\x1a\x00\x01", "this version does not read format 0 of backups"),
        (b"signet backup\r\n\x1a\x03\x01", "this version does not read format 3 of backups"),
        (b"signet backup\r\n\x1a\x01\x03", "it is sealed in a way that this version does not know"),
    ] {
        assert_eq!(refusal(by_passphrase(file)), why);
    }
    assert_eq!(MAGIC.len(), 16);
}

#[test]
fn only_the_right_opener_opens() {
    let (token, recipient, other) = (filled(), token(), self::token());
    let private = |token: &Token| {
        token.transport_key(Principal::Owner).unwrap();
        token.transport_private(Principal::Owner).unwrap().unwrap()
    };
    let (own, foreign) = (private(&recipient), private(&other));
    let sealed = backup_of(&token, &[], &Seal::Recipient(&own.public())).unwrap();
    let passphrase = pin(PASSPHRASE);
    let why = |file: &[u8], opener| refusal(contents(file, &opener));
    assert!(why(&sealed, Opener::Recipient(&foreign)).contains("does not open it"));
    assert!(why(&sealed, Opener::Passphrase(&passphrase)).contains("to a token's transport key"));
    let file = sealed_backup(&token);
    assert!(why(&file, Opener::Recipient(&own)).contains("to a passphrase"));
    let wrong = pin(b"another passphrase");
    assert!(why(&file, Opener::Passphrase(&wrong)).starts_with("wrong passphrase, or"));
    for index in 0..sealed.len().min(16 + 2 + 32 + 92 + MAC_LEN) {
        let mut edited = sealed.clone();
        edited[index] ^= 0x80;
        assert!(contents(&edited, &Opener::Recipient(&own)).is_err(), "{index}");
    }
}

#[test]
fn the_first_version_of_the_format_is_read_and_no_file_passes_for_another_version() {
    let good = key(b"k", b"value", &[]);
    let plain = [description(), bound(&good), end(1)].concat();
    for version in [1, VERSION] {
        let mut file = forged_as(version, &plain);
        assert_eq!(by_passphrase(&file).unwrap().len(), 1, "format {version}");
        file[MAGIC.len()] = VERSION + 1 - version;
        assert!(refusal(by_passphrase(&file)).starts_with("wrong passphrase, or"));
    }
}

#[test]
fn what_is_sealed_must_be_a_backup() {
    let good = key(b"k", b"value", &[]);
    let whole = |frames: &[Vec<u8>]| by_passphrase(&forged(&frames.concat()));
    assert_eq!(whole(&[description(), bound(&good), end(1)]).unwrap().len(), 1);
    assert_eq!(whole(&[description(), end(0)]).unwrap().len(), 0);
    let long = [&[1][..], &u32::try_from(FRAME_MAX + 1).unwrap().to_be_bytes()].concat();
    for frames in [
        vec![vec![0]],
        vec![end(0)],
        vec![bound(&good), end(1)],
        vec![description(), description(), end(0)],
        vec![description(), bound(&good), end(0)],
        vec![description(), bound(&good), end(2)],
        vec![description(), end(0), end(0)],
        vec![description(), end(0), vec![0]],
        vec![description(), bound(&good)],
        vec![description(), vec![4, 0, 0, 0, 0], end(0)],
        vec![description(), vec![1, 0xff, 0xff, 0xff, 0xff], end(0)],
        vec![description(), long, end(0)],
        vec![frame(Frame::Description, b"nonsense"), end(0)],
        vec![description(), frame(Frame::End, b"0")],
    ] {
        assert_eq!(refusal(whole(&frames)), "what is sealed in it is not a backup", "{frames:?}");
    }
    // A last chunk without anything in it is never made.
    let mut empty = forged(&[description(), vec![0; CHUNK_LEN]].concat()[..CHUNK_LEN]);
    empty.extend([0; StreamCipher::OVERHEAD]);
    assert!(refusal(by_passphrase(&empty)).contains("part 1 was changed"));
}

#[test]
fn objects_that_no_token_makes_do_not_come_in() {
    let refused = |frames: &[Vec<u8>]| {
        refusal(by_passphrase(&forged(&[&[description()], frames, &[end(1)]].concat().concat())))
    };
    let nonsense = frame(Frame::Bound, b"nonsense");
    assert_eq!(refused(&[nonsense]), "this version does not know one of the objects in it");
    let good = key(b"k", b"value", &[]);
    let twice = refused(&[bound(&good), bound(&good)]);
    assert!(twice.ends_with("its unique id stands there twice"), "{twice}");
    let encoded = |object: &Object| codec::encode(object, true).unwrap().expose().to_vec();
    let unbound = refused(&[frame(Frame::Unbound, &encoded(&good))]);
    assert!(unbound.ends_with("it would have been sealed"), "{unbound}");
    let other = key(b"k", b"value", &[]).with_value(SecretBytes::copied(b"VALUE"));
    assert!(refused(&[bound(&other)]).ends_with("CKA_CHECK_VALUE is that of another key"));
    let short = key(b"k", b"value", &[]).with_value(SecretBytes::copied(b"valu"));
    assert!(refused(&[bound(&short)]).ends_with("its attributes contradict each other"));
    // A name that steers the terminal, or that the store would not take.
    let mut bytes = encoded(&good);
    let id = good.unique_id().as_bytes();
    let at = bytes.windows(id.len()).position(|window| window == id).unwrap();
    bytes[at..at + 4].copy_from_slice(b"\x1b[2J");
    let named = refused(&[frame(Frame::Bound, &bytes)]);
    assert!(named.contains("\\u{1b}[2J") && named.ends_with("cannot be one"), "{named}");
    assert!(matches!(good.attributes()[&AttributeType::UniqueId], AttributeValue::Bytes(_)));
}

/// Whatever is wrong with a backup, a token is as it was before.
#[test]
fn nothing_of_a_damaged_backup_comes_into_a_token() {
    let token = filled();
    let (before, content) = (token.store().sequence().unwrap(), all(&token));
    let file = long_backup();
    let mut damaged = file.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for file in [&damaged[..], &file[..file.len() - 1], &file[..HEADER_LEN + SEALED_LEN]] {
        let restored =
            opened(file, &Opener::Passphrase(&pin(PASSPHRASE))).and_then(|mut backup| {
                restore(&token, Principal::Owner, &mut backup, true, &mut |_| ())
            });
        assert!(refusal(restored).contains("damaged"));
    }
    assert_eq!(token.store().sequence().unwrap(), before);
    assert_eq!(all(&token), content);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused(file in proptest::collection::vec(any::<u8>(), 0..400)) {
        let with_magic = [&MAGIC[..], &[1, 1 + file.first().map_or(0, |byte| byte % 2)], &file].concat();
        for file in [file, with_magic] {
            refusal(by_passphrase(&file));
        }
    }

    #[test]
    fn any_sealed_bytes_are_refused(plain in proptest::collection::vec(any::<u8>(), 1..400)) {
        refusal(by_passphrase(&forged(&plain)));
        let framed = [description(), frame(Frame::Bound, &plain), end(1)].concat();
        refusal(by_passphrase(&forged(&framed)));
    }

    #[test]
    fn an_edited_object_is_an_object_or_refused(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let object = key(b"label", b"value", &[(AttributeType::Id, b"id")]);
        let mut bytes = codec::encode(&object, true).unwrap().expose().to_vec();
        for (index, byte) in edits {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        let plain = [description(), frame(Frame::Bound, &bytes), end(1)].concat();
        let file = forged(&plain);
        let token = token();
        let restored = opened(&file, &Opener::Passphrase(&pin(PASSPHRASE))).and_then(|mut backup| {
            restore(&token, Principal::Owner, &mut backup, false, &mut |_| ())
        });
        match restored {
            Ok(_) => prop_assert_eq!(all(&token).len(), 1, "what came in can be opened"),
            Err(Error::BackupRefused { .. }) => prop_assert_eq!(all(&token).len(), 0),
            Err(other) => panic!("{other:?}"),
        }
    }
}
