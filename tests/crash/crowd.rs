//! Many processes at work on one token, some of them killed at any moment.

use crate::board::Board;
use crate::disk::Random;
use crate::stage::{Folder, Said, Stage};
use crate::tally::{Tally, one_more};
use crate::walk::{Faults, verdict};
use crate::worker::{PIN, STOP};
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a run is.
#[derive(Clone, Copy)]
enum Length {
    /// Until each process has done so much.
    Rounds(u64),
    /// So many kills.
    Kills(u64),
    /// So long.
    Time(Duration),
}

/// The trials of this file; those that are ignored are the long form.
pub fn trials(stage: &Arc<Stage>) -> Vec<Trial> {
    let minutes = std::env::var("SOAK_MINUTES").ok();
    let minutes = minutes.map_or(10, |text| text.parse().expect("SOAK_MINUTES is a number"));
    let forms = [
        ("crowd::of_64", false, 64, Length::Rounds(40)),
        ("crowd::of_8_killed_at_random", false, 8, Length::Kills(150)),
        ("soak::crowd::of_64", true, 64, Length::Time(Duration::from_secs(60 * minutes))),
        ("soak::crowd::of_8_killed_at_random", true, 8, Length::Kills(10_000)),
    ];
    let trial = |(name, long, size, length)| {
        let stage = Arc::clone(stage);
        Trial::test(name, move || verdict(run(&stage, size, length))).with_ignored_flag(long)
    };
    forms.map(trial).into()
}

/// What a process says, or that it has ended; which of those with its number it is.
struct News {
    number: usize,
    life: u64,
    line: Option<String>,
}

/// What is known of one worker's keys: their MACs.
#[derive(Default)]
struct Keys {
    there: BTreeMap<String, String>,
    /// Being made or destroyed, with the MAC if it was known.
    open: BTreeMap<String, Option<String>>,
}

struct Process {
    child: Child,
    life: u64,
    threads: [JoinHandle<String>; 2],
}

struct Crowd<'s> {
    stage: &'s Stage,
    tally: &'s Tally,
    folder: Folder,
    size: usize,
    length: Length,
    processes: Vec<Process>,
    keys: Vec<Keys>,
    rounds: Vec<u64>,
    sender: Sender<News>,
    news: Receiver<News>,
    faults: Faults,
}

fn run(stage: &Stage, size: usize, length: Length) -> Faults {
    let tally = match length {
        Length::Kills(_) => &stage.tallies.killed_at_random,
        Length::Rounds(_) | Length::Time(_) => &stage.tallies.crowd,
    };
    let (sender, news) = channel();
    let folder = stage.token();
    let mut crowd = Crowd {
        stage,
        tally,
        folder,
        size,
        length,
        processes: Vec::new(),
        keys: (0..size).map(|_| Keys::default()).collect(),
        rounds: vec![0; size],
        sender,
        news,
        faults: Faults::new(),
    };
    for number in 0..size {
        let process = crowd.start(number, 0);
        crowd.processes.push(process);
    }
    match length {
        Length::Rounds(rounds) => {
            while crowd.faults.is_empty() && crowd.rounds.iter().any(|&done| done < rounds) {
                crowd.hear();
            }
        }
        Length::Time(time) => {
            let end = Instant::now() + time;
            while crowd.faults.is_empty() && Instant::now() < end {
                crowd.hear();
            }
        }
        Length::Kills(kills) => {
            let mut random = Random(kills);
            for _ in 0..kills {
                if !crowd.faults.is_empty() {
                    break;
                }
                crowd.kill_one(&mut random);
            }
        }
    }
    crowd.end();
    crowd.faults
}

impl Crowd<'_> {
    fn start(&self, number: usize, life: u64) -> Process {
        let mut command = self.stage.worker(&self.folder, number, self.size);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = child.stderr.take().unwrap();
        let sender = self.sender.clone();
        let listen = std::thread::spawn(move || {
            // A line cut by a kill was not said.
            for line in out.split(b'\n').map_while(Result::ok) {
                let line = Some(String::from_utf8_lossy(&line).into_owned());
                let _ = sender.send(News { number, life, line });
            }
            let _ = sender.send(News { number, life, line: None });
            String::new()
        });
        let complaints =
            std::thread::spawn(move || std::io::read_to_string(err).unwrap_or_default());
        Process { child, life, threads: [listen, complaints] }
    }

    fn fault(&mut self, unexpected: bool, text: String) {
        one_more(if unexpected { &self.tally.unexpected } else { &self.tally.lost });
        self.faults.push(text);
    }

    /// Takes in one thing that was said; false at the end of a process.
    fn hear(&mut self) -> Option<News> {
        let news = match self.news.recv_timeout(Duration::from_secs(120)) {
            Ok(news) => news,
            Err(error) => {
                self.fault(true, format!("nobody says anything any more: {error}"));
                return None;
            }
        };
        let Some(line) = &news.line else {
            let process = &self.processes[news.number];
            if process.life == news.life && self.board().done(STOP) == 0 {
                self.gone(news.number);
            }
            return Some(news);
        };
        self.take_in(news.number, line);
        Some(news)
    }

    fn board(&self) -> Board {
        self.folder.board()
    }

    /// A process has ended that nobody killed.
    fn gone(&mut self, number: usize) {
        let status = self.processes[number].child.wait().unwrap();
        let [_, complaints] = &mut self.processes[number].threads;
        let nothing = std::thread::spawn(String::new);
        let complaints = std::mem::replace(complaints, nothing).join().unwrap();
        self.fault(true, format!("process {number} ended: {status}\n{complaints}"));
    }

    fn take_in(&mut self, number: usize, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let with_mac = |text: &str| {
            let (label, mac) = text.split_once('=').expect("a label and a MAC");
            (label.to_owned(), mac.to_owned())
        };
        let keys = &mut self.keys[number];
        match word {
            "making" => {
                keys.open.insert(rest.to_owned(), None);
            }
            "made" => {
                one_more(&self.tally.acknowledged);
                let (label, mac) = with_mac(rest);
                keys.open.remove(&label);
                keys.there.insert(label, mac);
            }
            "destroying" => {
                let mac = keys.there.remove(rest);
                keys.open.insert(rest.to_owned(), mac);
            }
            "destroyed" => {
                one_more(&self.tally.acknowledged);
                keys.open.remove(rest);
            }
            "there" => {
                let there = rest.split_whitespace().map(with_mac).collect();
                self.compare(number, there);
            }
            "round" => {
                if !matches!(self.length, Length::Kills(_)) {
                    one_more(&self.tally.points);
                }
                self.rounds[number] += 1;
            }
            _ => {}
        }
    }

    /// Holds the keys of a worker that are there against those that must be.
    fn compare(&mut self, number: usize, found: BTreeMap<String, String>) {
        let keys = &self.keys[number];
        let mut wrong = Vec::new();
        for (label, mac) in &keys.there {
            if found.get(label) != Some(mac) {
                wrong.push(format!("{label} was acknowledged, found {:?}", found.get(label)));
            }
        }
        for (label, mac) in &found {
            match keys.open.get(label) {
                _ if keys.there.contains_key(label) => {}
                Some(before) if before.as_ref().is_none_or(|before| before == mac) => {}
                _ => wrong.push(format!("{label} is there and should not be")),
            }
        }
        wrong.into_iter().for_each(|wrong| self.fault(false, wrong));
        self.keys[number] = Keys { there: found, open: BTreeMap::new() };
    }

    /// Kills one at random and starts another in its place.
    fn kill_one(&mut self, random: &mut Random) {
        // Not at its start each time, and not at a word of its own each time.
        for _ in 0..random.below(60) {
            self.hear();
        }
        std::thread::sleep(Duration::from_micros(random.below(3000) as u64));
        let number = random.below(self.size);
        let life = self.processes[number].life;
        self.processes[number].child.kill().unwrap();
        let status = self.processes[number].child.wait().unwrap();
        // All that it said is heard before its successor speaks.
        loop {
            match self.news.recv().expect("this crowd has a sender itself") {
                News { number: of, life: which, line: None } if (of, which) == (number, life) => {
                    break;
                }
                News { number: of, line: Some(line), .. } => self.take_in(of, &line),
                News { number: of, life: which, line: None } => {
                    if self.processes[of].life == which {
                        self.gone(of);
                    }
                }
            }
        }
        if status.signal() != Some(nix::libc::SIGKILL) {
            self.gone(number);
            return;
        }
        one_more(&self.tally.points);
        let successor = self.start(number, life + 1);
        self.processes[number] = successor;
    }

    /// Lets all end, and looks at what is left.
    fn end(&mut self) {
        self.board().finish(STOP, 1);
        for number in 0..self.size {
            let status = self.processes[number].child.wait().unwrap();
            if !status.success() && self.faults.is_empty() {
                self.gone(number);
            }
        }
        for process in std::mem::take(&mut self.processes) {
            for thread in process.threads {
                thread.join().unwrap();
            }
        }
        while let Ok(news) = self.news.try_recv() {
            if let Some(line) = news.line {
                self.take_in(news.number, &line);
            }
        }
        let said: Said = self.stage.look_at_all(&self.folder);
        if !said.succeeded {
            self.fault(false, format!("{:?}", said.unexpected()));
            return;
        }
        // key LABEL ID FLAGS <unique id> <MAC>
        let mut found: Vec<BTreeMap<String, String>> = vec![BTreeMap::new(); self.size];
        for line in said.lines.iter().filter_map(|line| line.strip_prefix("key own-")) {
            let (name, rest) = line.split_once(' ').unwrap();
            let number: usize = name.split('-').next().unwrap().parse().unwrap();
            let mac = rest.rsplit('<').next().unwrap().trim_end_matches('>');
            found[number].insert(format!("own-{name}"), mac.to_owned());
        }
        for (number, found) in found.into_iter().enumerate() {
            self.compare(number, found);
        }
        let changes = self.board().done(PIN);
        let pin = crate::worker::pin(changes);
        if !said.lines.iter().any(|line| *line == format!("the user's PIN is {pin}")) {
            self.fault(false, format!("the PIN is not {pin} after {changes} changes"));
        }
        let rounds: u64 = self.rounds.iter().sum();
        println!("{} processes: {rounds} rounds, {changes} changes of the PIN", self.size);
    }
}
