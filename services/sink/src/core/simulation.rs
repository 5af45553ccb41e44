//! A seeded simulator: models of Kafka and ClickHouse that crash, lose answers, and let dead sinks' INSERTs arrive late.
//!
//! A failing seed replays exactly. The controls at the end switch off one safeguard each and must fail: they show that
//! the simulator can see a loss and a double.

use super::{Command, Core, Event, Rows, tests::Offsets};
use std::collections::{BTreeMap, BTreeSet};

/// What is switched off, to see that it was needed.
#[derive(Clone, Copy, Default)]
struct Without {
    fence: bool,
    read_back: bool,
    waiting_for_the_answer: bool,
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// An INSERT that its sender no longer waits for.
struct Stray {
    owner: u64,
    offsets: Vec<u64>,
    /// It reached the server and runs there, so that KILL QUERY can find it.
    running: bool,
}

struct Sink {
    core: Core<Offsets>,
    owner: u64,
    read: u64,
    generation: u64,
}

struct World {
    random: Random,
    without: Without,
    log_end: u64,
    poison: BTreeSet<u64>,
    committed: u64,
    stored: BTreeMap<u64, u32>,
    dead: BTreeSet<u64>,
    fence: u64,
    fences_taken: u64,
    strays: Vec<Stray>,
    generation: u64,
    lost_at_commit: u64,
}

impl World {
    fn new(seed: u64, without: Without) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let log_end = 20 + random.below(80);
        let poison = (0..log_end).filter(|_| random.percent(2)).collect();
        Self {
            random,
            without,
            log_end,
            poison,
            committed: 0,
            stored: BTreeMap::new(),
            dead: BTreeSet::new(),
            fence: 0,
            fences_taken: 0,
            strays: Vec::new(),
            generation: 0,
            lost_at_commit: 0,
        }
    }

    fn assign(&mut self) -> Sink {
        self.generation += 1;
        Sink { core: Core::default(), owner: 0, read: self.committed, generation: self.generation }
    }

    fn store(&mut self, offsets: &[u64]) {
        for offset in offsets {
            *self.stored.entry(*offset).or_default() += 1;
        }
    }

    fn passes_fence(&self, owner: u64) -> bool {
        self.without.fence || owner == self.fence
    }

    /// The network and the server go their own ways between our steps.
    fn weather(&mut self) {
        if !self.strays.is_empty() && self.random.percent(15) {
            let index = self.random.below(self.strays.len() as u64) as usize;
            if !self.strays[index].running {
                self.strays[index].running = true;
                return;
            }
            let stray = self.strays.swap_remove(index);
            // The fence is read when the INSERT executes.
            if self.passes_fence(stray.owner) && stray.offsets.iter().all(|offset| !self.poison.contains(offset)) {
                self.store(&stray.offsets);
            }
        }
    }

    fn insert(&mut self, owner: u64, offsets: &[u64]) -> Event {
        let stray = |running| Stray { owner, offsets: offsets.to_vec(), running };
        match self.random.below(100) {
            0..5 => return Event::Failed("not reachable".into()),
            5..10 => {
                let running = self.random.percent(50);
                self.strays.push(stray(running));
                return Event::Ambiguous("timed out".into());
            }
            10..14 => return Event::Ambiguous("cut on the way there".into()),
            _ => {}
        }
        if !self.passes_fence(owner) {
            return Event::Fenced;
        }
        if offsets.iter().any(|offset| self.poison.contains(offset)) {
            return Event::Rejected("bad value".into());
        }
        self.store(offsets);
        if self.random.percent(8) { Event::Ambiguous("the answer was lost".into()) } else { Event::Succeeded }
    }

    /// One step of a sink; `false` when it learns that the partition is not its own and stops.
    fn step(&mut self, sink: &mut Sink) -> bool {
        self.weather();
        if sink.core.is_done() {
            if sink.generation == self.generation && sink.read > self.committed {
                self.commit(sink.read);
            }
            if sink.read < self.log_end {
                let end = (sink.read + 1 + self.random.below(12)).min(self.log_end);
                sink.core.begin(Offsets((sink.read..end).collect()));
                sink.read = end;
                if self.without.waiting_for_the_answer && sink.generation == self.generation {
                    self.commit(end);
                }
            }
            return true;
        }
        let event = match sink.core.command() {
            Command::TakeFence => {
                self.fences_taken += 1;
                sink.owner = self.fences_taken;
                self.fence = sink.owner;
                Event::Succeeded
            }
            Command::KillPredecessors => {
                self.strays.retain(|stray| !stray.running);
                Event::Succeeded
            }
            Command::FindHighest if self.without.read_back => Event::Highest(None),
            Command::FindHighest => Event::Highest(self.stored.keys().next_back().copied()),
            Command::ReadBack(range) => Event::Present(self.stored.range(range).map(|(offset, _)| *offset).collect()),
            Command::Insert(rows) => {
                let offsets = rows.0.clone();
                self.insert(sink.owner, &offsets)
            }
            Command::DeadLetter(rows, _) => {
                let offset = rows.first();
                self.dead.insert(offset);
                Event::Succeeded
            }
            Command::ConfirmOwnership if sink.generation != self.generation => return false,
            Command::ConfirmOwnership
            | Command::InsertCustomers(_)
            | Command::ExamineGap(_)
            | Command::WaitAndRetry(_) => {
                if self.random.percent(5) {
                    Event::Failed("not reachable".into())
                } else {
                    Event::Succeeded
                }
            }
            Command::Done => Event::Succeeded,
        };
        sink.core.on(event);
        true
    }

    fn commit(&mut self, offset: u64) {
        self.committed = offset;
        let safe = (0..offset).filter(|at| self.stored.contains_key(at) || self.dead.contains(at)).count() as u64;
        self.lost_at_commit += offset - safe;
    }

    /// Runs to the end of the log through crashes and zombies; gives (lost, doubled).
    fn run(mut self) -> (u64, u64) {
        let mut sink = self.assign();
        let mut zombie: Option<Sink> = None;
        for step in 0.. {
            assert!(step < 200_000, "no progress: committed {} of {}", self.committed, self.log_end);
            let troubled = step < 4000;
            if troubled && self.random.percent(2) {
                // Killed: what it had sent may still arrive.
                if let Command::Insert(rows) = sink.core.command() {
                    let (offsets, running) = (rows.0.clone(), self.random.percent(50));
                    self.strays.push(Stray { owner: sink.owner, offsets, running });
                }
                sink = self.assign();
            } else if troubled && self.random.percent(1) {
                // Stopped past the session timeout: another takes over, then this one wakes.
                let successor = self.assign();
                zombie = Some(std::mem::replace(&mut sink, successor));
            }
            if zombie.is_some() && self.random.percent(30) {
                zombie = zombie.take().and_then(|mut awake| self.step(&mut awake).then_some(awake));
            }
            // A live sink that is fenced by a zombie asks Kafka, and takes the fence back.
            assert!(self.step(&mut sink), "the owner of the partition stopped");
            if self.committed == self.log_end && !troubled {
                break;
            }
        }
        while !self.strays.is_empty() {
            self.weather();
        }
        let missing = (0..self.log_end).filter(|at| !self.stored.contains_key(at) && !self.dead.contains(at)).count();
        let doubled = self.stored.values().filter(|times| **times > 1).count();
        (missing as u64 + self.lost_at_commit, doubled as u64)
    }
}

fn totals(seeds: std::ops::Range<u64>, without: Without) -> (u64, u64) {
    seeds
        .map(|seed| World::new(seed, without).run())
        .fold((0, 0), |sum, (lost, doubled)| (sum.0 + lost, sum.1 + doubled))
}

/// Two thousand, or as many as `OUTCRY_SIMULATION_SEEDS` says.
#[test]
fn nothing_is_lost_and_nothing_doubled_in_thousands_of_histories() {
    let seeds = std::env::var("OUTCRY_SIMULATION_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2000);
    for seed in 0..seeds {
        assert_eq!(World::new(seed, Without::default()).run(), (0, 0), "seed {seed}: (lost, doubled)");
    }
}

#[test]
fn control_without_the_fence_rows_are_doubled() {
    let (_, doubled) = totals(0..200, Without { fence: true, ..Without::default() });
    assert!(doubled > 0, "the simulator cannot see a double");
}

#[test]
fn control_without_reading_back_rows_are_doubled() {
    let (_, doubled) = totals(0..200, Without { read_back: true, ..Without::default() });
    assert!(doubled > 0, "the simulator cannot see a double");
}

#[test]
fn control_committing_before_the_answer_loses_rows() {
    let (lost, _) = totals(0..200, Without { waiting_for_the_answer: true, ..Without::default() });
    assert!(lost > 0, "the simulator cannot see a loss");
}
