//! Which operation goes with which state of a key: the KMS API's table, and what the
//! C door adds to it.

use super::Action;
use super::Action::*;
use crate::error::{Error, Refusal, Result};
use crate::object::{KeyState, Object, Origin};
use std::time::SystemTime;

/// What an operation meets in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// It goes on.
    Yes,
    /// Refused for the state.
    State,
    /// Refused: there is no deletion to cancel.
    NotPending,
    /// Goes on for imported keys; refused for the origin of others.
    Imported,
    /// Refused for the state of imported keys, and for the origin of others.
    ImportedState,
    /// Goes on for generated keys; refused for the origin of others.
    Generated,
}

const Y: Answer = Answer::Yes;
const S: Answer = Answer::State;
const N: Answer = Answer::NotPending;
const I: Answer = Answer::Imported;
const IS: Answer = Answer::ImportedState;
const G: Answer = Answer::Generated;

/// A row for each action that meets a key; to one that has no row all states are the
/// same. UpdateAlias meets the key that the alias will name.
#[rustfmt::skip]
const TABLE: &[(Action, [Answer; 6])] = &[
//  action                      Enabled Disabled PendingDeletion PendingImport Creating Updating
    (GenerateMac,               [Y,     S,       S,              S,            S,       Y]),
    (VerifyMac,                 [Y,     S,       S,              S,            S,       Y]),
    (CreateGrant,               [Y,     S,       S,              S,            S,       Y]),
    (CreateAlias,               [Y,     Y,       S,              Y,            Y,       Y]),
    (UpdateAlias,               [Y,     Y,       S,              Y,            Y,       Y]),
    (TagResource,               [Y,     Y,       S,              Y,            Y,       Y]),
    (UntagResource,             [Y,     Y,       S,              Y,            Y,       Y]),
    (UpdateKeyDescription,      [Y,     Y,       S,              Y,            Y,       Y]),
    (EnableKey,                 [Y,     Y,       S,              S,            S,       S]),
    (DisableKey,                [Y,     Y,       S,              S,            S,       S]),
    (ScheduleKeyDeletion,       [Y,     Y,       S,              Y,            Y,       S]),
    (CancelKeyDeletion,         [N,     N,       Y,              N,            N,       N]),
    (GetParametersForImport,    [I,     I,       IS,             Y,            S,       S]),
    (ImportKeyMaterial,         [I,     I,       IS,             Y,            S,       Y]),
    (DeleteImportedKeyMaterial, [I,     I,       I,              Y,            S,       S]),
    (ReplicateKey,              [Y,     S,       S,              S,            S,       S]),
    (UpdatePrimaryRegion,       [Y,     S,       S,              S,            S,       Y]),
    (GetKeyRotationStatus,      [G,     G,       G,              G,            G,       G]),
    // At the C door: what uses the value is as using the key.
    (DigestKey,                 [Y,     S,       S,              S,            S,       Y]),
    (ReadValue,                 [Y,     S,       S,              S,            S,       Y]),
];

/// The column of a state. No key of ours is ever unavailable; one that were could be
/// administered and not be used.
const fn column(state: KeyState) -> usize {
    match state {
        KeyState::Enabled => 0,
        KeyState::Disabled | KeyState::Unavailable => 1,
        KeyState::PendingDeletion | KeyState::PendingReplicaDeletion => 2,
        KeyState::PendingImport => 3,
        KeyState::Creating => 4,
        KeyState::Updating => 5,
    }
}

/// Whether the state that an object has at this time, and its origin, go with an action.
/// Who asks for it is another question.
///
/// # Errors
/// [`Error::Refused`] with [`Refusal::NoSuchKey`] for one whose deletion was due,
/// [`Refusal::State`], [`Refusal::NotPendingDeletion`] or [`Refusal::Origin`].
pub fn require_state(action: Action, object: &Object, now: SystemTime) -> Result<()> {
    let life = object.lifecycle();
    let key = || object.unique_id().to_owned();
    let state = life.state_at(now).ok_or_else(|| Error::Refused(Refusal::NoSuchKey(key())))?;
    let row = TABLE.iter().find(|(of, _)| *of == action);
    let answer = row.map_or(Answer::Yes, |(_, answers)| answers[column(state)]);
    let by_state = || Refusal::State { key: key(), state };
    let by_origin = || Refusal::Origin { key: key(), origin: life.origin };
    Err(Error::Refused(match (answer, life.origin) {
        (Answer::Yes, _)
        | (Answer::Imported, Origin::External)
        | (Answer::Generated, Origin::Generated) => return Ok(()),
        (Answer::State, _) | (Answer::ImportedState, Origin::External) => by_state(),
        (Answer::NotPending, _) => Refusal::NotPendingDeletion(key()),
        (Answer::Imported | Answer::ImportedState, Origin::Generated)
        | (Answer::Generated, Origin::External) => by_origin(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kms::NewKey;
    use crate::object::{Deletion, KeySpec, Lifecycle};
    use crate::secret::SecretBytes;
    use std::time::UNIX_EPOCH;

    /// The table of the KMS API as its documents have it: `Y`, and the numbers of the
    /// errors below it.
    const DOCUMENTED: &str = "\
        GenerateMac               | Y | 1 | 3  | 5 | 14 | Y
        VerifyMac                 | Y | 1 | 3  | 5 | 14 | Y
        CreateGrant               | Y | 1 | 3  | 5 | 14 | Y
        ListGrants                | Y | Y | Y  | Y | Y  | Y
        RetireGrant               | Y | Y | Y  | Y | Y  | Y
        RevokeGrant               | Y | Y | Y  | Y | Y  | Y
        DescribeKey               | Y | Y | Y  | Y | Y  | Y
        GetKeyPolicy              | Y | Y | Y  | Y | Y  | Y
        PutKeyPolicy              | Y | Y | Y  | Y | Y  | Y
        ListKeyPolicies           | Y | Y | Y  | Y | Y  | Y
        ListResourceTags          | Y | Y | Y  | Y | Y  | Y
        ListAliases               | Y | Y | Y  | Y | Y  | Y
        DeleteAlias               | Y | Y | Y  | Y | Y  | Y
        GetKeyLastUsage           | Y | Y | Y  | Y | Y  | Y
        CreateAlias               | Y | Y | 3  | Y | Y  | Y
        UpdateAlias               | Y | Y | 10 | Y | Y  | Y
        TagResource               | Y | Y | 3  | Y | Y  | Y
        UntagResource             | Y | Y | 3  | Y | Y  | Y
        UpdateKeyDescription      | Y | Y | 3  | Y | Y  | Y
        EnableKey                 | Y | Y | 3  | 5 | 14 | 15
        DisableKey                | Y | Y | 3  | 5 | 14 | 15
        ScheduleKeyDeletion       | Y | Y | 3  | Y | Y  | 15
        CancelKeyDeletion         | 4 | 4 | Y  | 4 | 4  | 4
        GetParametersForImport    | 9 | 9 | 8  | Y | 14 | 15
        ImportKeyMaterial         | 9 | 9 | 8  | Y | 14 | Y
        DeleteImportedKeyMaterial | 9 | 9 | 9  | Y | 14 | 15
        ReplicateKey              | Y | 1 | 3  | 5 | 14 | 15
        UpdatePrimaryRegion       | Y | 1 | 3  | 5 | 14 | Y
        GetKeyRotationStatus      | 7 | 7 | 7  | 6 | 7  | 7";

    const NOW: SystemTime = UNIX_EPOCH;

    fn key(state: KeyState, origin: Origin) -> Object {
        let length = if origin == Origin::Generated { 32 } else { 0 };
        let value = SecretBytes::copied(&vec![1; length]);
        let new = NewKey { origin, ..NewKey::new(KeySpec::Hmac256) };
        let key = new.into_object("id", value, NOW).unwrap();
        let life = key.lifecycle().clone();
        key.with_lifecycle(Lifecycle { state, deletion: Some(Deletion::after(7, NOW)), ..life })
    }

    fn answer(action: Action, key: &Object) -> Result<(), Refusal> {
        match require_state(action, key, NOW) {
            Ok(()) => Ok(()),
            Err(Error::Refused(refusal)) => Err(refusal),
            Err(other) => panic!("{other}"),
        }
    }

    /// What the number stands for.
    fn documented(cell: &str, key: &Object) -> Result<(), Refusal> {
        use KeyState::{Creating, Disabled, PendingDeletion, PendingImport, Updating};
        let life = key.lifecycle();
        let name = || String::from("id");
        let state = |expected: KeyState| {
            assert_eq!(column(life.state), column(expected));
            Err(Refusal::State { key: name(), state: life.state })
        };
        let origin = || Err(Refusal::Origin { key: name(), origin: life.origin });
        let is_imported = life.origin == Origin::External;
        match cell {
            "Y" => Ok(()),
            "1" => state(Disabled),
            "3" | "10" => state(PendingDeletion),
            "4" => Err(Refusal::NotPendingDeletion(name())),
            "5" => state(PendingImport),
            "6" | "7" if is_imported => origin(),
            "9" if !is_imported => origin(),
            "6" | "7" | "9" => Ok(()),
            "8" if is_imported => state(PendingDeletion),
            "8" => origin(),
            "14" => state(Creating),
            "15" => state(Updating),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn every_operation_is_answered_in_every_state_as_documented() {
        let mut rows = 0;
        for row in DOCUMENTED.lines() {
            let mut cells = row.split('|').map(str::trim);
            let name = format!("kms:{}", cells.next().unwrap());
            let action = *Action::ALL.iter().find(|action| action.name() == name).unwrap();
            let cells: Vec<_> = cells.collect();
            assert_eq!(cells.len(), 6, "{row}");
            for state in KeyState::ALL.into_iter().filter(|state| *state != KeyState::Unavailable) {
                for origin in [Origin::Generated, Origin::External] {
                    // Only imported keys wait for material.
                    if (state, origin) == (KeyState::PendingImport, Origin::Generated) {
                        continue;
                    }
                    let (key, cell) = (key(state, origin), cells[column(state)]);
                    assert_eq!(answer(action, &key), documented(cell, &key), "{name} {state}");
                }
            }
            rows += 1;
        }
        assert_eq!(rows, 29);
        let documented = |action: &Action| DOCUMENTED.contains(&action.name()[4..]);
        assert_eq!(TABLE.iter().filter(|(action, _)| !documented(action)).count(), 2);
    }

    #[test]
    fn to_every_operation_a_key_is_not_there_from_its_deletion_date_on() {
        let key = key(KeyState::PendingDeletion, Origin::Generated);
        let date = key.lifecycle().gone_at().unwrap();
        for action in Action::ALL {
            let gone = Err(Error::Refused(Refusal::NoSuchKey("id".into())));
            assert_eq!(require_state(*action, &key, date), gone, "{action}");
        }
    }

    #[test]
    fn the_time_decides_whether_material_can_be_used() {
        let key = key(KeyState::Enabled, Origin::External);
        let life = Lifecycle { valid_to: Some(NOW), ..key.lifecycle().clone() };
        let refusal = Refusal::State { key: "id".into(), state: KeyState::PendingImport };
        assert_eq!(answer(GenerateMac, &key), Ok(()));
        assert_eq!(answer(GenerateMac, &key.with_lifecycle(life)), Err(refusal));
    }
}
