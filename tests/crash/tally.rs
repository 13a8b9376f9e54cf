//! What came of it, in numbers.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The sums of a run. The last three must be zero.
#[derive(Debug, Default)]
pub struct Tally {
    /// Points: a call at which a process was killed or failed, an image of a disk.
    pub points: AtomicU64,
    /// Operations that succeeded, as far as whoever asked was told.
    pub acknowledged: AtomicU64,
    /// Refused with an error, and done nevertheless: the error came behind the write.
    pub done_yet_refused: AtomicU64,
    /// Acknowledged and not there.
    pub lost: AtomicU64,
    /// Neither as before nor as after, or not to be opened.
    pub torn: AtomicU64,
    /// Errors, ends and waits that nothing explains.
    pub unexpected: AtomicU64,
}

/// Counts one more.
pub fn one_more(number: &AtomicU64) {
    number.fetch_add(1, Relaxed);
}

impl Tally {
    /// Prints the sums; whether they are sound.
    pub fn print(&self) -> bool {
        let rows = [
            ("points covered", &self.points),
            ("acknowledged", &self.acknowledged),
            ("refused, yet done", &self.done_yet_refused),
            ("lost", &self.lost),
            ("torn", &self.torn),
            ("unexpected errors", &self.unexpected),
        ];
        for (name, number) in rows {
            println!("{:<20}{:>10}", format!("{name}:"), number.load(Relaxed));
        }
        rows[3..].iter().all(|(_, number)| number.load(Relaxed) == 0)
    }
}
