//! The decisions of one partition: events in, commands out, no I/O.
//!
//! A batch is stored when the server says so and the number of rows is right. After anything else nothing is assumed: the
//! fence is taken (a predecessor's late INSERT is refused from then on), running INSERTs are ended, what is stored is read
//! back, and only what is missing is inserted. The same happens at the beginning of every assignment, because a
//! predecessor may have stored rows it did not live to commit.
//!
//! A seeded simulator drives this with models of Kafka and ClickHouse; see the tests.

use outcry_kafka::RejectLimit;
use std::ops::Range;

/// Rows of one partition, in order of their offsets.
pub trait Rows: Sized {
    /// How many.
    fn len(&self) -> usize;

    /// `true` when there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// First offset.
    fn first(&self) -> u64;

    /// Last offset.
    fn last(&self) -> u64;

    /// The rows whose offset is not among these, which are sorted.
    fn without(&self, present: &[u64]) -> Self;

    /// Two halves of at least two rows.
    fn halves(&self) -> (Self, Self);
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Command<'a, R> {
    /// Nothing: the batch is done and its offsets may be committed.
    Done,
    /// Store the personal details of the batch; repeatable.
    InsertCustomers(&'a R),
    /// Take the fence under a fresh name.
    TakeFence,
    /// End the INSERTs of whoever held it before, and wait until they ended.
    KillPredecessors,
    /// Find the highest offset stored of this partition.
    FindHighest,
    /// Read which of these offsets are stored.
    ReadBack(Range<u64>),
    /// These offsets were passed by the consumer group, and nothing from them on is stored: find out whether they held rows,
    /// and say so loudly if they did.
    ExamineGap(Range<u64>),
    /// Insert under the fence.
    Insert(&'a R),
    /// The server refuses this one row: make it durable in dead letters.
    DeadLetter(&'a R, &'a str),
    /// Wait a while, longer each time in a row.
    WaitAndRetry(&'a str),
    /// Someone else took the fence: find out from Kafka whether the partition is still ours before taking it back, or two
    /// sinks steal it from each other for ever.
    ConfirmOwnership,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The command was carried out.
    Succeeded,
    /// It failed and left nothing behind, or nothing that matters.
    Failed(String),
    /// Answer to [`Command::FindHighest`].
    Highest(Option<u64>),
    /// Answer to [`Command::ReadBack`], sorted.
    Present(Vec<u64>),
    /// The INSERT was refused by the fence.
    Fenced,
    /// It may or may not have been carried out.
    Ambiguous(String),
    /// The server cannot store these values.
    Rejected(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Idle,
    Customers,
    Fence,
    Kill,
    Highest,
    Gap(Range<u64>),
    ReadBack,
    Insert,
    DeadLetter(String),
    Ownership,
    Wait { problem: String, then: Box<Step> },
}

/// Outcomes that the limit looks back on.
const REMEMBERED: usize = 1000;

/// The state of one partition's writing.
#[derive(Debug)]
pub struct Core<R> {
    step: Step,
    /// Pieces of the current batch that are not done; the last one is next.
    pieces: Vec<R>,
    /// Nothing is assumed about what is stored until the fence is ours.
    reconciled: bool,
    /// Batches that begin at or below it may be stored already.
    highest: Option<u64>,
    /// Every offset below was given up to this core's batches, or committed before it came.
    begins: u64,
    /// The gap that was examined last; it is examined once.
    examined: Option<Range<u64>>,
    /// The server's refusals. Beyond the limit it is the table that must be doubted, and no more rows go to dead letters.
    limit: RejectLimit,
    /// The limit is passed: one row is tried until the server takes it.
    holding: bool,
    /// Rows found stored when reconciling.
    pub already_stored: u64,
    /// Times that the fence was taken.
    pub reconciliations: u64,
}

impl<R: Rows> Default for Core<R> {
    fn default() -> Self {
        Self {
            step: Step::Idle,
            pieces: Vec::new(),
            reconciled: false,
            highest: None,
            begins: 0,
            examined: None,
            limit: RejectLimit::default(),
            holding: false,
            already_stored: 0,
            reconciliations: 0,
        }
    }
}

impl<R: Rows> Core<R> {
    /// Takes the next batch; the one before must be done.
    pub fn begin(&mut self, batch: R) {
        debug_assert!(self.pieces.is_empty() && self.step == Step::Idle, "the batch before is not done");
        if batch.is_empty() {
            return;
        }
        self.begins = batch.first();
        self.pieces = vec![batch];
        self.step = Step::Customers;
    }

    /// What to do now. Asking again without an event gives the same answer.
    pub fn command(&self) -> Command<'_, R> {
        let Some(piece) = self.pieces.last() else {
            return Command::Done;
        };
        match &self.step {
            Step::Idle => Command::Done,
            Step::Customers => Command::InsertCustomers(piece),
            Step::Fence => Command::TakeFence,
            Step::Kill => Command::KillPredecessors,
            Step::Highest => Command::FindHighest,
            Step::Gap(offsets) => Command::ExamineGap(offsets.clone()),
            Step::ReadBack => Command::ReadBack(piece.first()..piece.last() + 1),
            Step::Insert => Command::Insert(piece),
            Step::DeadLetter(reason) => Command::DeadLetter(piece, reason),
            Step::Ownership => Command::ConfirmOwnership,
            Step::Wait { problem, .. } => Command::WaitAndRetry(problem),
        }
    }

    /// Takes in what came of the command.
    pub fn on(&mut self, event: Event) {
        let step = std::mem::replace(&mut self.step, Step::Idle);
        self.step = match (step, event) {
            (Step::Customers, Event::Succeeded) => self.before_insert(),
            // A repeatable step that failed in whatever way is simply repeated.
            (Step::Customers, event) => wait(event, Step::Customers),
            (Step::Fence, Event::Succeeded) => {
                self.reconciliations += 1;
                Step::Kill
            }
            (Step::Kill, Event::Succeeded) => Step::Highest,
            (Step::Highest, Event::Highest(highest)) => {
                self.highest = highest;
                self.reconciled = true;
                self.after_highest()
            }
            // It is told or it could not be found out; writing goes on either way.
            (Step::Gap(_), _) => self.before_insert(),
            (Step::ReadBack, Event::Present(present)) => self.keep_missing(&present),
            (Step::ReadBack, event) => wait(event, Step::ReadBack),
            (Step::Fence | Step::Kill | Step::Highest, event) => wait(event, Step::Fence),
            (Step::Insert, Event::Succeeded) => {
                self.count_stored();
                self.piece_done()
            }
            (Step::Insert, Event::Failed(problem)) => Step::Wait { problem, then: Box::new(Step::Insert) },
            (Step::Insert, Event::Fenced) => {
                self.reconciled = false;
                Step::Ownership
            }
            (Step::Insert, Event::Rejected(reason)) => self.narrow_down(reason),
            (Step::Insert, event) => {
                self.reconciled = false;
                wait(event, Step::Fence)
            }
            (Step::Ownership, Event::Succeeded) => Step::Fence,
            (Step::Ownership, event) => wait(event, Step::Ownership),
            (Step::DeadLetter(_), Event::Succeeded) => self.piece_done(),
            (Step::DeadLetter(reason), event) => wait(event, Step::DeadLetter(reason)),
            (Step::Wait { then, .. }, _) => *then,
            (Step::Idle, _) => Step::Idle,
        };
    }

    /// `true` when the batch is stored and its offsets may be committed.
    pub fn is_done(&self) -> bool {
        self.pieces.is_empty()
    }

    /// What lies between the highest row stored and the batch was committed as done. Records that gave no row lie there
    /// rightly; rows that lie there are gone from the server, as after a restored backup.
    fn after_highest(&mut self) -> Step {
        let gap = self.highest.map_or(0, |highest| highest + 1)..self.begins;
        if gap.is_empty() || self.examined.as_ref() == Some(&gap) {
            return self.before_insert();
        }
        self.examined = Some(gap.clone());
        Step::Gap(gap)
    }

    fn before_insert(&self) -> Step {
        let Some(piece) = self.pieces.last() else {
            return Step::Idle;
        };
        if !self.reconciled {
            Step::Fence
        } else if self.highest.is_some_and(|highest| piece.first() <= highest) {
            Step::ReadBack
        } else {
            Step::Insert
        }
    }

    fn keep_missing(&mut self, present: &[u64]) -> Step {
        let Some(piece) = self.pieces.pop() else {
            return Step::Idle;
        };
        let missing = piece.without(present);
        self.already_stored += (piece.len() - missing.len()) as u64;
        if missing.is_empty() {
            return self.next_piece();
        }
        self.pieces.push(missing);
        Step::Insert
    }

    fn piece_done(&mut self) -> Step {
        self.pieces.pop();
        self.next_piece()
    }

    fn next_piece(&self) -> Step {
        if self.pieces.is_empty() { Step::Idle } else { self.before_insert() }
    }

    fn count_stored(&mut self) {
        if std::mem::take(&mut self.holding) {
            // The table was mended: what it refused before says nothing of the rows to come.
            self.limit = RejectLimit::default();
        }
        let rows = self.pieces.last().map_or(0, Rows::len);
        for _ in 0..rows.min(REMEMBERED) {
            self.limit.record(false);
        }
    }

    /// A refused INSERT stored nothing, but only a read-back proves it; then the halves are tried one by one.
    fn narrow_down(&mut self, reason: String) -> Step {
        let Some(piece) = self.pieces.pop() else {
            return Step::Idle;
        };
        if piece.len() == 1 {
            self.pieces.push(piece);
            self.holding = self.limit.record(true);
            if self.holding {
                let problem = format!(
                    "ClickHouse refuses one row after another, which no single bad row explains: look at the table's columns \
                     and constraints, and at `outcry dead-letters list --reason refused_by_clickhouse`; nothing more goes there \
                     until the row is taken ({reason})"
                );
                return Step::Wait { problem, then: Box::new(Step::Insert) };
            }
            return Step::DeadLetter(reason);
        }
        let (first, second) = piece.halves();
        self.pieces.push(second);
        self.pieces.push(first);
        self.reconciled = false;
        Step::Fence
    }
}

fn wait(event: Event, then: Step) -> Step {
    let problem = match event {
        Event::Failed(problem) | Event::Ambiguous(problem) | Event::Rejected(problem) => problem,
        Event::Fenced => "the fence was taken by another sink".into(),
        other => format!("an unexpected answer: {other:?}"),
    };
    Step::Wait { problem, then: Box::new(then) }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
