use super::*;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offsets(pub(super) Vec<u64>);

impl Rows for Offsets {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn first(&self) -> u64 {
        self.0[0]
    }

    fn last(&self) -> u64 {
        self.0[self.0.len() - 1]
    }

    fn without(&self, present: &[u64]) -> Self {
        Self(self.0.iter().copied().filter(|offset| present.binary_search(offset).is_err()).collect())
    }

    fn halves(&self) -> (Self, Self) {
        let (first, second) = self.0.split_at(self.0.len() / 2);
        (Self(first.to_vec()), Self(second.to_vec()))
    }
}

/// The first batch of an assignment, up to what follows the reconciliation; nothing is known of the offsets below it.
fn started(batch: &[u64], highest: Option<u64>) -> Core<Offsets> {
    let mut core = assigned(batch, highest);
    if matches!(core.command(), Command::ExamineGap(_)) {
        core.on(Event::Succeeded);
    }
    core
}

fn assigned(batch: &[u64], highest: Option<u64>) -> Core<Offsets> {
    let mut core = Core::default();
    core.begin(Offsets(batch.to_vec()));
    core.on(Event::Succeeded);
    assert_eq!(core.command(), Command::TakeFence);
    core.on(Event::Succeeded);
    assert_eq!(core.command(), Command::KillPredecessors);
    core.on(Event::Succeeded);
    assert_eq!(core.command(), Command::FindHighest);
    core.on(Event::Highest(highest));
    core
}

#[test]
fn the_first_batch_of_an_assignment_is_reconciled_and_only_the_missing_rows_inserted() {
    let mut core = started(&[3, 4, 5], Some(4));
    assert_eq!(core.command(), Command::ReadBack(3..6));
    core.on(Event::Present(vec![3, 4]));
    assert_eq!(core.command(), Command::Insert(&Offsets(vec![5])));
    core.on(Event::Succeeded);
    assert!(core.is_done());
    assert_eq!((core.command(), core.already_stored), (Command::Done, 2));
}

#[test]
fn a_later_batch_beyond_what_was_found_is_inserted_at_once() {
    let mut core = started(&[3], Some(1));
    core.on(Event::Succeeded);
    core.begin(Offsets(vec![4, 5]));
    core.on(Event::Succeeded);
    assert_eq!(core.command(), Command::Insert(&Offsets(vec![4, 5])));
}

#[test]
fn a_later_batch_that_a_predecessor_may_have_stored_is_read_back_too() {
    let mut core = started(&[3], Some(9));
    core.on(Event::Present(vec![3]));
    assert!(core.is_done());
    core.begin(Offsets(vec![8, 9, 10]));
    core.on(Event::Succeeded);
    assert_eq!(core.command(), Command::ReadBack(8..11));
}

#[test]
fn after_a_lost_answer_nothing_is_assumed() {
    let mut core = started(&[3, 4], None);
    core.on(Event::Ambiguous("connection reset".into()));
    assert_eq!(core.command(), Command::WaitAndRetry("connection reset"));
    core.on(Event::Succeeded);
    assert_eq!(core.command(), Command::TakeFence);
    core.on(Event::Succeeded);
    core.on(Event::Succeeded);
    core.on(Event::Highest(Some(4)));
    core.on(Event::Present(vec![3, 4]));
    assert!(core.is_done());
}

#[test]
fn a_fenced_insert_asks_kafka_before_taking_the_fence_back() {
    let mut core = started(&[3], None);
    core.on(Event::Fenced);
    assert_eq!(core.command(), Command::ConfirmOwnership);
    core.on(Event::Succeeded);
    assert_eq!(core.command(), Command::TakeFence);
}

#[test]
fn a_server_that_is_down_is_waited_for_and_the_same_rows_are_sent_again() {
    let mut core = started(&[3], None);
    core.on(Event::Failed("not reachable".into()));
    assert_eq!(core.command(), Command::WaitAndRetry("not reachable"));
    core.on(Event::Succeeded);
    assert_eq!(core.command(), Command::Insert(&Offsets(vec![3])));
}

#[test]
fn a_refused_batch_is_halved_until_the_one_bad_row_is_in_dead_letters() {
    let mut core = started(&[1, 2, 3, 4], None);
    let (mut stored, mut dead) = (Vec::new(), Vec::new());
    for _ in 0..60 {
        let event = match core.command() {
            Command::Done => break,
            Command::Insert(rows) if rows.0.contains(&3) => Event::Rejected("bad value".into()),
            Command::Insert(rows) => {
                stored.extend(rows.0.clone());
                Event::Succeeded
            }
            Command::DeadLetter(rows, _) => {
                dead.extend(rows.0.clone());
                Event::Succeeded
            }
            Command::FindHighest => Event::Highest(stored.last().copied()),
            Command::ReadBack(range) => {
                Event::Present(stored.iter().copied().filter(|at| range.contains(at)).collect())
            }
            _ => Event::Succeeded,
        };
        core.on(event);
    }
    assert!(core.is_done());
    assert_eq!((stored, dead), (vec![1, 2, 4], vec![3]));
}

#[test]
fn rows_that_were_committed_and_are_not_stored_are_examined_once() {
    // A restored backup: the group stands at 50, and nothing above 20 is there.
    let mut core = assigned(&[50, 51], Some(20));
    assert_eq!(core.command(), Command::ExamineGap(21..50));
    core.on(Event::Failed("the broker does not answer".into()));
    assert_eq!(core.command(), Command::Insert(&Offsets(vec![50, 51])));
    core.on(Event::Ambiguous("connection reset".into()));
    for event in [Event::Succeeded, Event::Succeeded, Event::Succeeded, Event::Highest(Some(20))] {
        core.on(event);
    }
    assert_eq!(core.command(), Command::Insert(&Offsets(vec![50, 51])), "told once");
    // An empty table is a gap from the first offset; what follows without a hole is none.
    assert_eq!(assigned(&[7], None).command(), Command::ExamineGap(0..7));
    assert_eq!(assigned(&[7], Some(6)).command(), Command::Insert(&Offsets(vec![7])));
}

#[test]
fn a_table_that_refuses_every_row_fills_no_dead_letters_and_goes_on_when_it_is_mended() {
    let mut core = started(&[0], None);
    let (mut dead, mut offset) = (0, 0);
    let problem = loop {
        match core.command() {
            Command::Insert(_) => core.on(Event::Rejected("unknown element of enum".into())),
            Command::DeadLetter(..) => {
                dead += 1;
                core.on(Event::Succeeded);
            }
            Command::Done => {
                offset += 1;
                assert!(offset < 2_000, "{dead} dead letters and no end");
                core.begin(Offsets(vec![offset]));
            }
            Command::WaitAndRetry(problem) => break problem.to_owned(),
            _ => core.on(Event::Succeeded),
        }
    };
    assert_eq!(dead, 250);
    assert!(problem.contains("dead-letters list") && problem.contains("unknown element"), "{problem}");
    for _ in 0..3 {
        core.on(Event::Succeeded);
        assert_eq!(core.command(), Command::Insert(&Offsets(vec![offset])));
        core.on(Event::Rejected("unknown element of enum".into()));
        assert!(matches!(core.command(), Command::WaitAndRetry(_)), "{:?}", core.command());
    }
    core.on(Event::Succeeded);
    core.on(Event::Succeeded);
    assert!(core.is_done(), "the row was taken");
    // The next bad row is a single one again.
    core.begin(Offsets(vec![offset + 1]));
    core.on(Event::Succeeded);
    core.on(Event::Rejected("bad".into()));
    assert!(matches!(core.command(), Command::DeadLetter(..)));
}
