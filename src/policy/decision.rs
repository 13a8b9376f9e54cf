//! What an evaluation answers: yes or no, because of what, and for how long.

use std::fmt;
use std::time::SystemTime;

/// For how long an answer holds, while caller, policies, grants, key and tags
/// stay as they are. The smaller, the sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Until {
    /// It depends on what only this call knows: evaluate each.
    ThisCall,
    /// For requests from the time of this one until just before this instant.
    Instant(SystemTime),
    /// Until one of them is changed.
    Changed,
}

/// Whether something is true, and for how long that stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Truth {
    pub holds: bool,
    pub until: Until,
}

impl Truth {
    /// As nothing can change it.
    pub const fn always(holds: bool) -> Self {
        Self { holds, until: Until::Changed }
    }

    pub const fn not(self) -> Self {
        Self { holds: !self.holds, until: self.until }
    }

    /// True as long as both are; false as long as one of them is.
    pub fn and(self, other: Self) -> Self {
        self.not().or(other.not()).not()
    }

    /// True as long as one of them is; false as long as both are.
    pub fn or(self, other: Self) -> Self {
        match (self.holds, other.holds) {
            (true, true) => Self { holds: true, until: self.until.max(other.until) },
            (true, false) => self,
            (false, true) => other,
            (false, false) => Self { holds: false, until: self.until.min(other.until) },
        }
    }

    /// Whether all are true.
    pub fn all(truths: impl IntoIterator<Item = Self>) -> Self {
        truths.into_iter().fold(Self::always(true), Self::and)
    }

    /// Whether one is true.
    pub fn any(truths: impl IntoIterator<Item = Self>) -> Self {
        truths.into_iter().fold(Self::always(false), Self::or)
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    /// Whether the request is allowed.
    pub allowed: bool,
    /// What decided.
    pub because: Reason,
    /// For how long.
    pub holds: Until,
}

/// What decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A policy's statement forbids it.
    ExplicitDeny(StatementName),
    /// No policy of the caller allows it; the key's or role's policy leaves it to them.
    NoIdentityPolicy,
    /// The policy of the key or role names neither the caller nor the account.
    NoResourcePolicy,
    /// The grant lets nobody else retire it.
    NotToRetire,
    /// The policy of the key or role names the caller.
    Named(StatementName),
    /// The policy of the key or role names the caller's account, and one of the
    /// caller's policies allows it; the account root needs none.
    Delegated {
        /// The statement that names the account, or the caller from another account.
        by: StatementName,
        /// The statement of the caller's policy.
        to: Option<StatementName>,
    },
    /// A policy of the caller allows it, and nobody else is asked.
    Identity(StatementName),
    /// The account root may do everything that is not done to a key or a role.
    Root,
    /// This grant allows it.
    Grant(String),
    /// The caller is the retiring principal of this grant.
    RetiringPrincipal(String),
}

/// Which statement of which policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementName {
    /// The policy.
    pub policy: PolicyName,
    /// Its place in the list, from 1.
    pub number: usize,
    /// What the policy calls it.
    pub sid: Option<String>,
}

/// Which policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyName {
    /// That of the key.
    Key,
    /// That of the role.
    Trust,
    /// One of the caller's, by name.
    Identity(String),
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("the key policy"),
            Self::Trust => f.write_str("the role's trust policy"),
            Self::Identity(name) => write!(f, "the caller's policy \"{name}\""),
        }
    }
}

impl fmt::Display for StatementName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement {}", self.number)?;
        if let Some(sid) = &self.sid {
            write!(f, " \"{sid}\"")?;
        }
        write!(f, " of {}", self.policy)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExplicitDeny(statement) => write!(f, "{statement} denies it"),
            Self::NoIdentityPolicy => f.write_str("no policy of the caller allows it"),
            Self::NoResourcePolicy => {
                f.write_str("the policy names neither the caller nor the account for it")
            }
            Self::NotToRetire => f.write_str("the grant does not let the caller retire it"),
            Self::Named(statement) | Self::Identity(statement) => {
                write!(f, "{statement} allows it")
            }
            Self::Delegated { by, to: Some(to) } => {
                write!(f, "{to} allows it, as {by} lets the caller's account decide")
            }
            Self::Delegated { by, to: None } => {
                write!(f, "the caller is the account root, whom {by} allows it")
            }
            Self::Root => f.write_str("the caller is the account root"),
            Self::Grant(id) => write!(f, "grant {id} allows it"),
            Self::RetiringPrincipal(id) => {
                write!(f, "the caller is the retiring principal of grant {id}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn at(second: u64) -> Until {
        Until::Instant(UNIX_EPOCH + Duration::from_secs(second))
    }

    #[test]
    fn the_sooner_end_is_the_smaller() {
        assert!(Until::ThisCall < at(0) && at(0) < at(1) && at(1) < Until::Changed);
    }

    /// Something that is true at first or not, and turns over at each of these seconds.
    #[derive(Debug, Clone)]
    struct Fact {
        first: bool,
        turns: Vec<u64>,
    }

    impl Fact {
        fn holds_at(&self, second: u64) -> bool {
            self.first ^ (self.turns.iter().filter(|turn| **turn <= second).count() % 2 == 1)
        }

        fn truth_at(&self, second: u64) -> Truth {
            let next = self.turns.iter().copied().filter(|turn| *turn > second).min();
            Truth { holds: self.holds_at(second), until: next.map_or(Until::Changed, at) }
        }
    }

    fn facts() -> impl Strategy<Value = Vec<Fact>> {
        let fact = (any::<bool>(), prop::collection::vec(0_u64..8, 0..3))
            .prop_map(|(first, turns)| Fact { first, turns });
        prop::collection::vec(fact, 0..4)
    }

    proptest! {
        #[test]
        fn a_truth_stays_until_it_says(facts in facts(), now in 0_u64..8, later in 0_u64..8) {
            let truths: Vec<_> = facts.iter().map(|fact| fact.truth_at(now)).collect();
            let (any, all) = (Truth::any(truths.clone()), Truth::all(truths));
            prop_assert_eq!(any.holds, facts.iter().any(|fact| fact.holds_at(now)));
            prop_assert_eq!(all.holds, facts.iter().all(|fact| fact.holds_at(now)));
            let then = now + later;
            if at(then) < any.until {
                prop_assert_eq!(any.holds, facts.iter().any(|fact| fact.holds_at(then)));
            }
            if at(then) < all.until {
                prop_assert_eq!(all.holds, facts.iter().all(|fact| fact.holds_at(then)));
            }
        }
    }
}
