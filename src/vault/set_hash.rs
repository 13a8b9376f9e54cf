//! A hash of the set of all records, kept up to date one record at a time.

use minicbor::{Decode, Encode};

/// The sum modulo 2²⁵⁶ of the keyed hashes of all records ("MSet-Add-Hash" of
/// Clarke et al., 2003), and their number. It is stored sealed: without the
/// token's keys nobody can tell what removing a record would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(array)]
pub struct SetHash {
    #[n(0)]
    sum: [u64; 4],
    #[n(1)]
    count: u64,
}

impl SetHash {
    /// With one member more.
    pub fn insert(&mut self, member: &[u8; 32]) {
        let mut carry = false;
        for (word, addend) in self.sum.iter_mut().zip(words(member)) {
            (*word, carry) = carrying(u64::overflowing_add, *word, addend, carry);
        }
        self.count = self.count.wrapping_add(1);
    }

    /// With one member less.
    pub fn remove(&mut self, member: &[u8; 32]) {
        let mut borrow = false;
        for (word, subtrahend) in self.sum.iter_mut().zip(words(member)) {
            (*word, borrow) = carrying(u64::overflowing_sub, *word, subtrahend, borrow);
        }
        self.count = self.count.wrapping_sub(1);
    }

    /// How many members there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }
}

/// Least significant word first.
fn words(member: &[u8; 32]) -> impl Iterator<Item = u64> + '_ {
    member.as_chunks::<8>().0.iter().rev().map(|chunk| u64::from_be_bytes(*chunk))
}

fn carrying(
    operation: fn(u64, u64) -> (u64, bool),
    left: u64,
    right: u64,
    carry: bool,
) -> (u64, bool) {
    let (result, first) = operation(left, right);
    let (result, second) = operation(result, u64::from(carry));
    (result, first || second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_does_not_matter_and_removing_undoes_inserting() {
        let (a, b) = ([0xff; 32], [0x13; 32]);
        let mut one = SetHash::default();
        one.insert(&a);
        one.insert(&b);
        let mut other = SetHash::default();
        other.insert(&b);
        other.insert(&a);
        assert_eq!(one, other);
        other.remove(&a);
        other.remove(&b);
        assert_eq!(other, SetHash::default());
    }

    #[test]
    fn a_carry_runs_through_all_words() {
        let mut hash = SetHash::default();
        hash.insert(&[0xff; 32]);
        let mut one = [0; 32];
        one[31] = 1;
        hash.insert(&one);
        assert_eq!(hash.sum, [0; 4]);
        assert_eq!(hash.count(), 2);
    }
}
