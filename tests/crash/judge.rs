//! What is there, and whether it may be.

use std::collections::BTreeSet;

/// What a new process finds in a token directory, as [`actor`](crate::actor) says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State(Vec<String>);

/// What a point of the walk came to, if it is not as it should be.
#[derive(Debug)]
pub enum Fault {
    /// Acknowledged, and not there.
    Lost(String),
    /// Neither as before nor as after.
    Torn(String),
    /// An error, an end or a wait that nothing explains.
    Unexpected(String),
}

impl State {
    pub const fn new(lines: Vec<String>) -> Self {
        Self(lines)
    }

    /// The names and values in it that are drawn at random.
    fn drawn(&self) -> BTreeSet<&str> {
        self.0
            .iter()
            .flat_map(|line| parts(line))
            .filter_map(|(text, is_drawn)| is_drawn.then_some(text))
            .collect()
    }

    /// Everything but the counters, with what is drawn and not `known` made equal.
    fn facts(&self, known: &BTreeSet<&str>) -> Vec<String> {
        let facts = self.0.iter().filter(|line| !line.starts_with("counted "));
        let mut facts: Vec<String> =
            facts
                .map(|line| {
                    let parts = parts(line).map(|(text, is_drawn)| {
                        if is_drawn && !known.contains(text) { "new" } else { text }
                    });
                    parts.collect()
                })
                .collect();
        facts.sort_unstable();
        facts
    }

    /// Whether the two differ in nothing but counters.
    pub fn has_facts_of(&self, other: &Self) -> bool {
        let known = self.drawn();
        self.facts(&known) == other.facts(&known)
    }

    /// The counters.
    fn counted(&self) -> Vec<&String> {
        self.0.iter().filter(|line| line.starts_with("counted ")).collect()
    }
}

/// The text of a line, cut into what is drawn at random, in `<…>`, and the rest.
fn parts(line: &str) -> impl Iterator<Item = (&str, bool)> {
    line.split('<').enumerate().flat_map(|(number, part)| match part.split_once('>') {
        Some((drawn, rest)) if number > 0 => [(drawn, true), (rest, false)],
        _ => [(part, false), ("", false)],
    })
}

/// Which of the two states this is: false the one before, true the one after. `ack`:
/// what the process said that was told that it is done.
pub fn judge(
    before: &State,
    after: &State,
    ack: Option<&str>,
    seen: &State,
) -> Result<bool, Fault> {
    let known = before.drawn();
    let [old, new, found] = [before, after, seen].map(|state| state.facts(&known));
    if found == new {
        let Some(ack) = ack else { return Ok(true) };
        let drawn = seen.drawn();
        let proven = parts(ack).all(|(text, is_drawn)| !is_drawn || drawn.contains(text));
        if !proven {
            return Err(Fault::Lost(format!("{ack} is not among {:?}", seen.0)));
        }
        if seen.counted() != after.counted() {
            return Err(Fault::Lost(format!("{:?} became {:?}", after.counted(), seen.counted())));
        }
        return Ok(true);
    }
    if found == old {
        return if ack.is_some() {
            Err(Fault::Lost("all is as it was before".into()))
        } else {
            Ok(false)
        };
    }
    let missing: Vec<_> = new.iter().filter(|line| !found.contains(line)).collect();
    let other: Vec<_> = found.iter().filter(|line| !new.contains(line)).collect();
    Err(Fault::Torn(format!("lacks {missing:?} and has {other:?}")))
}
