//! What a token costs at 1, 1,000, 10,000 and 100,000 keys: starting, logging in,
//! finding a key, the first signature with it, making one more. Beside it SoftHSM2,
//! at the sizes that it can bear.
//!
//! Run with `cargo bench --bench store`. It makes the tokens first, by C_GenerateKey,
//! which takes a minute or two. Every start is a process of its own; the sizes take
//! turns, and of each the median of all rounds is shown, with its ratio to one key.
//! The tokens are on the disk of the build, or where SIGNET_BENCH_DIRECTORY says.

#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, clippy::unwrap_used, missing_docs)]

#[path = "store/client.rs"]
mod client;
#[path = "../tests/common/paths.rs"]
mod paths;

use client::{Client, NAMES, PIN, median, timed};
use signet_pkcs11::clock::SystemClock;
use signet_pkcs11::config::Config;
use signet_pkcs11::entropy::OsEntropy;
use signet_pkcs11::log::NoLog;
use signet_pkcs11::module::Module;
use signet_pkcs11::secret::Pin;
use signet_pkcs11::store::DirectoryPlace;
use signet_pkcs11::token::Surroundings;
use signet_pkcs11::types::{SlotId, UserType};
use signet_pkcs11::vault::PinParameters;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Numbers of keys; SoftHSM2 gets those up to `SOFTHSM2_MOST`.
const SIZES: [usize; 4] = [1, 1_000, 10_000, 100_000];
const SOFTHSM2_MOST: usize = 1_000;
const ROUNDS: usize = 21;
/// Keys that are added to each token in the end, by turns.
const ADDED: usize = 300;

/// Keys that are signed with to see what memory that takes.
const SIGNED: usize = 20_000;

const PART: &str = "SIGNET_BENCH_PART";

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let Ok(part) = std::env::var(PART) {
        return play(&part, &arguments[1..]);
    }
    let parent = std::env::var_os("SIGNET_BENCH_DIRECTORY");
    let parent = parent.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    let place = tempfile::tempdir_in(parent).unwrap();
    let signet =
        Kind { name: "Signet", module: paths::signet_module(), sizes: &SIZES, place: place.path() };
    let softhsm2 = Kind {
        name: "SoftHSM2",
        module: paths::softhsm2_module(),
        sizes: &SIZES[..SIZES.iter().filter(|size| **size <= SOFTHSM2_MOST).count()],
        place: place.path(),
    };
    for kind in [&signet, &softhsm2] {
        kind.fill();
        kind.measure();
    }
}

/// A module and its tokens.
struct Kind<'a> {
    name: &'static str,
    module: PathBuf,
    sizes: &'a [usize],
    place: &'a Path,
}

impl Kind<'_> {
    /// The directory of the token with so many keys.
    fn directory(&self, size: usize) -> PathBuf {
        self.place.join(format!("{}-{size}", self.name))
    }

    fn unique_ids(&self) -> PathBuf {
        self.place.join(format!("{}.ids", self.name))
    }

    /// Another process on the token with so many keys.
    fn start(&self, part: &str, size: usize, numbers: &[usize]) -> String {
        let directory = self.directory(size);
        let configuration = self.place.join(format!("{}-{size}.conf", self.name));
        fs::write(&configuration, format!("directories.tokendir = {}\n", directory.display()))
            .unwrap();
        let mut program = Command::new(std::env::current_exe().unwrap());
        program.env(PART, part).args([&self.module, &self.unique_ids()]);
        program.args(numbers.iter().map(usize::to_string));
        for variable in ["SIGNET_CONF", "SOFTHSM2_CONF"] {
            program.env(variable, &configuration);
        }
        let output = program.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{part} {size}: {text}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Makes the tokens: each is a copy of the one before, with more keys.
    fn fill(&self) {
        let mut from = 0;
        for &size in self.sizes {
            if from == 0 {
                fs::create_dir(self.directory(size)).unwrap();
            } else {
                copy(&self.directory(from), &self.directory(size));
            }
            let (time, _) = timed(|| self.start("fill", size, &[from, size]));
            eprintln!("{}: {size} keys made in {:.1} s", self.name, time.as_secs_f64());
            from = size;
        }
    }

    fn measure(&self) {
        let row = |name: &str| Row::new(name, self.sizes);
        let mut start = row("start (C_Initialize to C_OpenSession)");
        let mut login = row("C_Login, PIN derivation included");
        let mut cheap_login = row("C_Login without PIN derivation");
        // SoftHSM2 has no unique ids.
        let names = if self.unique_ids().exists() { NAMES.len() } else { NAMES.len() - 1 };
        let mut first_find: Vec<_> =
            NAMES[..names].iter().map(|(name, _)| row(&format!("first find by {name}"))).collect();
        let mut same_key = row("find it again");
        let mut other_keys = row("find others (with one key: the same)");
        let mut first_sign = row("first sign");
        for round in 0..=ROUNDS {
            for (name, find) in first_find.iter_mut().enumerate() {
                for (column, &size) in self.sizes.iter().enumerate() {
                    let times = self.start("run", size, &[size, round * 1009, name]);
                    let times = times.split_whitespace().map(|time| time.parse().unwrap());
                    let (same, others) = (&mut same_key, &mut other_keys);
                    let rows = [&mut start, &mut login, &mut *find, same, others, &mut first_sign];
                    // The first round warms up the files.
                    for (row, time) in rows.into_iter().zip(times).filter(|_| round > 0) {
                        row.times[column].push(Duration::from_nanos(time));
                    }
                }
            }
        }
        let mut added = row("C_GenerateKey, durable");
        self.add_keys(&mut added);
        let mut rows = vec![start, login];
        if self.name == "Signet" {
            self.log_in_cheaply(&mut cheap_login);
            let to_first_signature = [&rows[0], &cheap_login, &first_find[0], &first_sign];
            let sum = sum_of("start, login, find by label, first sign", &to_first_signature);
            rows.extend([cheap_login]);
            rows.extend(first_find);
            rows.extend([first_sign, sum]);
        } else {
            rows.extend(first_find);
            rows.push(first_sign);
        }
        rows.extend([same_key, other_keys, added]);
        print_table(self.name, self.sizes, &rows);
        for &size in self.sizes {
            let sizes = self.start("memory", size, &[SIGNED]);
            println!(
                "{size} keys: KiB held when logged in, with a handle of every key, after a \
                 signature with {} of them: {}",
                SIGNED.min(size),
                sizes.trim_end()
            );
        }
    }

    /// Adds keys to all tokens by turns. Each token has a process, which adds one
    /// whenever it is told to.
    fn add_keys(&self, row: &mut Row) {
        const TURNS: usize = 10;
        for turn in 0..TURNS {
            for (column, &size) in self.sizes.iter().enumerate() {
                let first = size + turn * ADDED / TURNS;
                let times = self.start("add", size, &[first, first + ADDED / TURNS]);
                let times = times.split_whitespace().map(|time| time.parse().unwrap());
                row.times[column].extend(times.map(Duration::from_nanos));
            }
        }
    }

    /// Logs in to copies of the tokens whose PIN costs next to nothing to derive.
    fn log_in_cheaply(&self, row: &mut Row) {
        let cheap = PinParameters { memory_kib: 8, iterations: 1, lanes: 1 };
        let pin = Pin::copied(PIN.as_bytes());
        let open = |size, argon2| {
            let entropy = Arc::new(OsEntropy);
            let place = DirectoryPlace::new(self.directory(size), entropy.clone());
            let config = Config { argon2, ..Config::with_token_dir(self.directory(size)) };
            let surroundings =
                Surroundings { entropy, clock: Arc::new(SystemClock), log: Arc::new(NoLog) };
            let module = Module::new(Arc::new(place), surroundings, &config).unwrap();
            let session = module.open_session(SlotId(0), true).unwrap();
            (module, session)
        };
        for &size in self.sizes {
            let (module, session) = open(size, cheap);
            module.set_pin(session, &pin, &pin).unwrap();
        }
        for _ in 0..ROUNDS {
            for (column, &size) in self.sizes.iter().enumerate() {
                let (module, session) = open(size, cheap);
                let (time, done) = timed(|| module.login(session, UserType::User, &pin));
                done.unwrap();
                row.times[column].push(time);
            }
        }
    }
}

/// What the other processes do.
fn play(part: &str, arguments: &[String]) {
    let (module, unique_ids) = (Path::new(&arguments[0]), Path::new(&arguments[1]));
    let number = |index: usize| arguments[index].parse::<usize>().unwrap();
    match part {
        "fill" => {
            let mut client = Client::load(module);
            if number(2) == 0 {
                client.make_token()
            } else {
                client.resume()
            }
            let mut ids = fs::read_to_string(unique_ids).unwrap_or_default();
            for key in number(2)..number(3) {
                writeln!(ids, "{}", client.unique_id(client.generate(key).1)).unwrap();
            }
            // SoftHSM2 has no unique ids.
            if !ids.starts_with('\n') {
                fs::write(unique_ids, ids).unwrap();
            }
            client.stop();
        }
        "run" => client::run(module, number(2), number(3), number(4), unique_ids),
        "memory" => client::memory(module, number(2)),
        "add" => {
            let mut client = Client::load(module);
            client.resume();
            for key in number(2)..number(3) {
                println!("{}", client.generate(key).0.as_nanos());
            }
            client.stop();
        }
        other => panic!("no part {other}"),
    }
}

/// Copies a directory with the rights of what is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// One step, with its times at each size.
struct Row {
    name: String,
    times: Vec<Vec<Duration>>,
}

impl Row {
    fn new(name: &str, sizes: &[usize]) -> Self {
        Self { name: name.to_owned(), times: vec![Vec::new(); sizes.len()] }
    }
}

/// The medians of these steps together, as one.
fn sum_of(name: &str, rows: &[&Row]) -> Row {
    let sum = |column: usize| rows.iter().map(|row| median(row.times[column].clone())).sum();
    let times = (0..rows[0].times.len()).map(|column| vec![sum(column)]).collect();
    Row { name: name.to_owned(), times }
}

fn mean(times: &[Duration]) -> Duration {
    times.iter().sum::<Duration>() / u32::try_from(times.len()).unwrap()
}

fn print_table(name: &str, sizes: &[usize], rows: &[Row]) {
    println!("\n{name}: microseconds, and how many times those with one key");
    print!("{:40}", "keys");
    sizes.iter().for_each(|size| print!("{size:>18}"));
    println!();
    for row in rows {
        let medians = row.times.iter().map(|times| median(times.clone()));
        print_line(&row.name, &medians.collect::<Vec<_>>());
    }
    // A checkpoint comes once in many commits: the median does not show it.
    let added = rows.last().unwrap();
    let means = added.times.iter().map(|times| mean(times));
    print_line(&format!("{}, mean", added.name), &means.collect::<Vec<_>>());
}

fn print_line(name: &str, times: &[Duration]) {
    print!("{name:40}");
    let micros = |time: &Duration| time.as_secs_f64() * 1e6;
    for time in times {
        print!("{:>11.1} {:>5.2}x", micros(time), micros(time) / micros(&times[0]));
    }
    println!();
}
