//! What came of it, in numbers.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The sums of one sort of trial. The last three must be zero.
#[derive(Debug, Default)]
pub struct Tally {
    /// A call at which a process was killed or failed, an image of a disk, a process
    /// killed at random, a round of one of a crowd.
    pub points: AtomicU64,
    /// Changes that were made, as whoever asked for them was told.
    pub acknowledged: AtomicU64,
    /// Refused with an error, and done nevertheless: the error came behind the write.
    pub done_yet_refused: AtomicU64,
    /// Acknowledged and not there, or seen as it was before.
    pub lost: AtomicU64,
    /// Neither as before nor as after, or not to be opened.
    pub torn: AtomicU64,
    /// Errors, ends and waits that nothing explains.
    pub unexpected: AtomicU64,
}

/// The sums of all trials.
#[derive(Debug, Default)]
pub struct Tallies {
    pub killed: Tally,
    pub failed: Tally,
    pub power_cut: Tally,
    pub crowd: Tally,
    pub killed_at_random: Tally,
}

/// Counts one more.
pub fn one_more(number: &AtomicU64) {
    number.fetch_add(1, Relaxed);
}

impl Tally {
    fn numbers(&self) -> [u64; 6] {
        [
            &self.points,
            &self.acknowledged,
            &self.done_yet_refused,
            &self.lost,
            &self.torn,
            &self.unexpected,
        ]
        .map(|number| number.load(Relaxed))
    }
}

impl Tallies {
    /// Prints the sums of what was tried; whether they are sound.
    pub fn print(&self) -> bool {
        let rows = [
            ("killed at a call", &self.killed),
            ("failed at a call", &self.failed),
            ("power cut", &self.power_cut),
            ("crowd", &self.crowd),
            ("killed at random", &self.killed_at_random),
        ];
        let rows = rows.map(|(name, tally)| (name, tally.numbers()));
        let points: u64 = rows.iter().map(|(_, numbers)| numbers[0]).sum();
        println!("points covered: {points}");
        let heads = ["points", "acknowledged", "refused, yet done", "lost", "torn", "unexpected"];
        let line = |name: &str, cells: [String; 6]| {
            let cells = cells.iter().zip(heads).map(|(cell, head)| {
                let width = head.len().max(8) + 2;
                format!("{cell:>width$}")
            });
            println!("{name:<16}{}", cells.collect::<String>());
        };
        line("", heads.map(str::to_owned));
        for (name, numbers) in &rows {
            if numbers[0] > 0 {
                line(name, numbers.map(|number| number.to_string()));
            }
        }
        rows.iter().all(|(_, numbers)| numbers[3..].iter().all(|number| *number == 0))
    }
}
