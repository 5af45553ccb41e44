//! Against a real ClickHouse: what the statements, views and grants do, which no unit test can tell.

#[cfg(test)]
mod facts;
#[cfg(test)]
mod labels;

use facts::{Facts, Opened, at, call_event, counted_rows};
use outcry_domain::*;
use outcry_warehouse::*;
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const TOPIC: &str = "outcry.items.classified";

#[tokio::test]
async fn migrating_twice_changes_nothing_and_a_changed_migration_is_told() {
    let opened = Opened::fresh().await;
    let again = opened.migrator.migrate().await.unwrap();
    assert!(again.applied.is_empty() && again.already >= 5, "{again:?}");
    opened.migrator.check_schema().await.unwrap();
    opened.sink.check_schema().await.unwrap();
    opened.as_migrator("INSERT INTO schema_migrations (name, checksum) SELECT '0001_items', 'ffff'").await;
    let error = opened.migrator.migrate().await.unwrap_err();
    assert!(matches!(&error, WarehouseError::ChangedMigration { name, .. } if name == "0001_items"), "{error}");
}

#[tokio::test]
async fn a_database_that_was_not_migrated_says_what_to_run() {
    let stack = outcry_sandbox::shared_stack().await;
    let database = stack.fresh_database().await.unwrap();
    let warehouse = facts::connect(stack, "sink", &database);
    let error = warehouse.check_schema().await.unwrap_err().to_string();
    assert!(error.contains("outcry migrate"), "{error}");
}

#[tokio::test]
async fn everything_an_analyst_meets_has_a_comment() {
    let opened = Opened::fresh().await;
    let bare = opened
        .migrator
        .query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND comment = '' \
             UNION ALL SELECT concat(table, '.', name) FROM system.columns WHERE database = currentDatabase() AND comment = '' \
             ORDER BY name",
            &[],
        )
        .await
        .unwrap();
    assert!(bare.rows.is_empty(), "no comment on {:?}", bare.rows);
    // The analyst sees them, and sees nothing else.
    let seen = opened
        .analyst
        .query("SELECT name, comment FROM system.tables WHERE database = currentDatabase() ORDER BY name", &[])
        .await
        .unwrap();
    let names: BTreeSet<&str> = seen.rows.iter().filter_map(|row| row[0].as_str()).collect();
    assert_eq!(names, ANALYST_VIEWS.iter().copied().collect());
}

#[tokio::test]
async fn the_columns_that_rows_are_written_in_are_the_tables_columns() {
    let opened = Opened::fresh().await;
    for table in StoredTable::ALL {
        let described = opened
            .migrator
            .query(
                "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} \
                 AND default_kind != 'MATERIALIZED' ORDER BY position",
                &[("table", table.name().to_owned())],
            )
            .await
            .unwrap();
        let names: Vec<&str> = described.rows.iter().filter_map(|row| row[0].as_str()).collect();
        assert_eq!(names, table.column_names().collect::<Vec<_>>(), "{}", table.name());
    }
}

#[tokio::test]
async fn an_analyst_reads_views_and_reports_but_no_table() {
    let opened = Opened::fresh().await;
    opened.store(&Facts::new().mail("a", 0).done()).await;
    for view in ANALYST_VIEWS {
        opened.analyst.query(&format!("SELECT * FROM {view} LIMIT 1"), &[]).await.unwrap();
    }
    for report in reports::list() {
        let table = opened.analyst.report(report.name, &ReportParams::default()).await.unwrap();
        let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, report.columns.iter().map(|column| column.name).collect::<Vec<_>>(), "{}", report.name);
    }
    assert_eq!(opened.analyst.summary(None).await.unwrap().items, 1);
    let recent = opened.analyst.recent_contacts(Some(facts::BRAND), 5).await.unwrap();
    assert_eq!(recent.value(0, "text"), Some(&json!("a writes")));
    assert!(opened.analyst.recent_contacts(Some("none"), 5).await.unwrap().rows.is_empty());
    let refused =
        ["stored_items", "stored_customers", "customers", "stored_dead_letters", "contact_folds", "sink_fence"];
    for table in refused {
        let error = opened.analyst.query(&format!("SELECT * FROM {table} LIMIT 1"), &[]).await.unwrap_err();
        assert!(matches!(error, WarehouseError::Refused { code: 497, .. }), "{table}: {error}");
    }
    let error = opened.analyst.query("INSERT INTO items (brand) SELECT 'x'", &[]).await.unwrap_err();
    assert!(matches!(error, WarehouseError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn what_is_stored_reads_back_as_it_was() {
    let opened = Opened::fresh().await;
    let mut classified = facts::everything();
    classified.item.text = "NUL \0, Ünïcode 漢字, 'quotes' and \\ stay".into();
    classified.item.occurred_at = Timestamp::from_millis(i64::MAX);
    opened.store(&[classified.clone()]).await;
    let rows = opened.migrator.query("SELECT * FROM stored_items", &[]).await.unwrap();
    let value = |column: &str| rows.value(0, column).cloned().unwrap_or_default();
    let item = &classified.item;
    assert_eq!(value("item_id"), json!(item.item_id.to_string()));
    assert_eq!(value("text"), json!(item.text));
    assert_eq!(value("occurred_at"), json!("2299-12-31T23:59:59.999Z"));
    let named = |column: &&Column| {
        let of_text = column.kind.contains("String") && !column.kind.contains("Tuple");
        let fixed = ["mail_automatic", "call_event", "call_provider_fields", "post_event"];
        let parts = ["mail_", "call_", "post_", "origin_"].iter().any(|part| column.name.starts_with(part));
        of_text && parts && !fixed.contains(&column.name.as_str())
    };
    assert_eq!(rows.columns.iter().filter(named).count(), 33);
    for column in rows.columns.iter().filter(named) {
        let name = &column.name;
        let expected = if column.kind.starts_with("Array") { json!([name]) } else { json!(name) };
        assert_eq!(value(name), expected, "{name}");
    }
    assert_eq!(value("mail_automatic"), json!("auto_reply"));
    assert_eq!(
        value("mail_attachments"),
        json!([{"name": "a.pdf", "media_type": "application/pdf", "size": 7, "sha256": "00"}])
    );
    assert_eq!((value("call_event"), value("post_event")), (json!("note"), json!("hidden")));
    let numbers =
        ["call_wait_ms", "call_talk_ms", "call_hold_ms", "call_duration_ms", "post_followers", "post_engagement"];
    assert_eq!(numbers.map(value), [1, 2, 3, 4, 8, 9].map(|number| json!(number)));
    let times = ["call_answered_at", "call_ended_at", "call_started_at", "post_edited_at"];
    assert_eq!(times.map(value), [5, 6, 7, 10].map(|second| json!(at(second).to_string())));
    assert_eq!(
        (value("call_sequence"), value("call_abandoned"), value("post_rating")),
        (json!(-3), json!(false), json!(5))
    );
    assert_eq!((value("call_provider_fields"), value("origin_raw_size")), (json!("{\"own\":true}"), json!(11)));
    for flag in ["clock_suspect", "mail_bulk", "mail_forwarded_by_staff", "origin_backfill", "origin_truncated"] {
        assert_eq!(value(flag), json!(true), "{flag}");
    }
    assert_eq!(value("secondary_categories"), json!(["delivery"]));
    assert_eq!(value("secondary_confidences"), json!([0.25]));
    assert_eq!(value("amounts"), json!([{"value": "49.90", "currency": "EUR"}]));
    assert_eq!(value("evidence")[0]["signal"], json!("safety.injury"));
    assert_eq!(value("unknown_fields"), json!("{\"later\":1}"));
    assert_eq!(value("kafka_offset"), json!(0));
    assert_eq!(
        opened.migrator.query("SELECT version FROM stored_items", &[]).await.unwrap().rows[0][0],
        json!(1u64 << 48)
    );
    let customer = opened.migrator.query("SELECT address, name FROM customers", &[]).await.unwrap();
    assert_eq!(customer.rows, [[json!("ana@example.org"), json!("Ana")]]);
}

#[tokio::test]
async fn a_zombie_is_refused_and_the_holder_of_the_fence_is_not() {
    let opened = Opened::fresh().await;
    let rows = Facts::new().mail("a", 0).mail("b", 1).done();
    let batch = facts::batch(TOPIC, 0, &rows);
    let zombie = opened.sink.take_fence(TOPIC, 0).await.unwrap();
    let holder = opened.sink.take_fence(TOPIC, 0).await.unwrap();
    opened.sink.kill_predecessors(TOPIC, 0).await.unwrap();
    assert_eq!(opened.sink.insert(&batch, &zombie).await, InsertResult::Fenced);
    assert_eq!(opened.count("stored_items").await, 0);
    assert_eq!(opened.sink.insert(&batch, &holder).await, InsertResult::Stored);
    assert_eq!(opened.count("stored_items").await, 2);
    // Another partition has a fence of its own.
    opened.sink.take_fence(TOPIC, 1).await.unwrap();
    assert_eq!(opened.sink.insert(&batch, &holder).await, InsertResult::Stored);
}

#[tokio::test]
async fn a_repeated_batch_is_seen_once_and_a_replay_wins_over_the_first_reading() {
    let opened = Opened::fresh().await;
    let mut rows = Facts::new().mail("a", 0).mail("b", 1).done();
    opened.store(&rows).await;
    opened.store(&rows).await;
    assert_eq!(opened.count("stored_items").await, 4, "two physical copies, before any merge");
    rows[0].classification.category.label = classification::Category::Safety;
    opened.store_from(&rows[..1], 50).await;
    opened.store_from(&Facts::new().mail("a", 0).done(), 0).await;
    let summary = opened.analyst.summary(None).await.unwrap();
    assert_eq!((summary.items, summary.duplicates_in_view), (2, 0));
    let labels = opened.analyst.query("SELECT category FROM items ORDER BY category", &[]).await.unwrap();
    assert_eq!(labels.rows, [[json!("delivery")], [json!("safety")]]);
}

#[tokio::test]
async fn read_back_lists_what_is_stored_of_one_partition_and_epoch() {
    let opened = Opened::fresh().await;
    let rows = Facts::new().mail("a", 0).mail("b", 1).mail("c", 2).done();
    opened.store_from(&rows, 10).await;
    let read = |epoch, partition, range| opened.sink.read_back(StoredTable::Items, epoch, partition, range);
    assert_eq!(read(1, 0, 0..u64::MAX).await.unwrap(), [10, 11, 12]);
    assert_eq!(read(1, 0, 11..12).await.unwrap(), [11]);
    assert!(read(2, 0, 0..u64::MAX).await.unwrap().is_empty());
    assert!(read(1, 1, 0..u64::MAX).await.unwrap().is_empty());
    assert_eq!(opened.sink.highest_offset(StoredTable::Items, 1, 0).await.unwrap(), Some(12));
    assert_eq!(opened.sink.highest_offset(StoredTable::Items, 1, 9).await.unwrap(), None);
    let batch = facts::batch(TOPIC, 10, &Facts::new().mail("a", 0).mail("b", 1).mail("c", 2).mail("d", 3).done());
    assert_eq!(batch.without(&[10, 11, 12]).offsets().collect::<Vec<_>>(), [13]);
}

#[tokio::test]
async fn each_incarnation_of_a_topic_has_a_number_of_its_own() {
    let opened = Opened::fresh().await;
    assert_eq!(opened.sink.assign_epoch(TOPIC, "id-1").await.unwrap(), 1);
    assert_eq!(opened.sink.assign_epoch(TOPIC, "id-2").await.unwrap(), 2);
    assert_eq!(opened.sink.assign_epoch(TOPIC, "id-1").await.unwrap(), 1);
    assert_eq!(opened.sink.assign_epoch("other", "id-2").await.unwrap(), 1);
}

#[tokio::test]
async fn refusals_before_the_start_are_certain_and_say_what_to_do() {
    let stack = outcry_sandbox::shared_stack().await;
    let opened = Opened::fresh().await;
    let batch = facts::batch(TOPIC, 0, &Facts::new().mail("a", 0).done());
    let fence = opened.sink.take_fence(TOPIC, 0).await.unwrap();
    let empty = facts::connect(stack, "sink", &stack.fresh_database().await.unwrap());
    let no_table = empty.insert(&batch, &fence).await;
    assert!(matches!(&no_table, InsertResult::Unavailable(text) if text.contains("outcry migrate")), "{no_table:?}");
    let wrong = facts::connect_with(stack, "sink", "wrong", opened.sink.database());
    let no_entry = wrong.insert(&batch, &fence).await;
    assert!(matches!(&no_entry, InsertResult::Unavailable(text) if text.contains("password")), "{no_entry:?}");
    let nobody = ClickHouseConfig { url: "http://127.0.0.1:9".into(), ..ClickHouseConfig::default() };
    let nobody = Warehouse::connect(&nobody).unwrap();
    assert!(matches!(nobody.insert(&batch, &fence).await, InsertResult::Unavailable(_)));
    let error = nobody.ping().await.unwrap_err();
    assert!(error.is_unavailable() && error.to_string().contains("is ClickHouse running"), "{error}");
}

/// A call with every turn it can take, and its events in another order and repeated.
#[tokio::test]
async fn a_call_is_the_same_row_for_any_order_and_repetition_of_its_events() {
    use CallEventKind::*;
    let opened = Opened::fresh().await;
    let events: Vec<ClassifiedItem> = [
        (Started, 0),
        (Queued, 5),
        (Ringing, 20),
        (Answered, 35),
        (Held, 60),
        (Resumed, 80),
        (Transferred, 100),
        (Ended, 155),
        (Recording, 160),
        (Transcript, 170),
    ]
    .into_iter()
    .map(|(kind, second)| call_event("call-1", kind, second))
    .collect();
    opened.store(&events).await;
    let expected = opened.call("call-1").await;
    assert_eq!(expected["wait_seconds"], json!(30));
    assert_eq!(expected["talk_seconds"], json!(100));
    assert_eq!(expected["hold_seconds"], json!(20));
    assert_eq!(expected["duration_seconds"], json!(155));
    assert_eq!(expected["agent"], json!("Bea"));
    assert_eq!(expected["abandoned"], json!(false));
    assert_eq!(expected["transferred"], json!(true));
    assert_eq!(expected["n_events"], json!(10));
    assert_eq!(expected["transcript"], json!("hello, it is broken"));
    let orders = Just(events).prop_shuffle().prop_flat_map(|order| {
        let repeated = prop::collection::vec(prop::sample::select(order.clone()), 0..6);
        (Just(order), repeated).prop_map(|(order, repeated)| [order, repeated].concat())
    });
    let mut runner = TestRunner::deterministic();
    for _ in 0..12 {
        let shuffled = orders.new_tree(&mut runner).unwrap().current();
        opened.as_migrator("TRUNCATE TABLE stored_items").await;
        // One INSERT for each half, so that order across parts differs too.
        let middle = shuffled.len() / 2;
        opened.store_from(&shuffled[middle..], 500).await;
        opened.store_from(&shuffled[..middle], 0).await;
        assert_eq!(opened.call("call-1").await, expected);
    }
}

#[tokio::test]
async fn an_abandoned_call_is_one_that_waited_and_nobody_took() {
    use CallEventKind::*;
    let opened = Opened::fresh().await;
    let mut events = Vec::new();
    for (call, kinds) in [
        ("gave up", vec![(Started, 0), (Queued, 5), (Ended, 65)]),
        ("left a message", vec![(Started, 0), (Queued, 5), (Voicemail, 30), (Ended, 65)]),
        ("never waited", vec![(Started, 0), (Ended, 3)]),
        ("still waits", vec![(Started, 0), (Queued, 5)]),
        ("was taken", vec![(Started, 0), (Queued, 5), (Answered, 9), (Ended, 65)]),
    ] {
        events.extend(kinds.into_iter().map(|(kind, second)| call_event(call, kind, second)));
    }
    let mut said = call_event("the provider says so", Ended, 9);
    said.item.call.as_mut().unwrap().abandoned = Some(true);
    events.push(said);
    opened.store(&events).await;
    let abandoned = opened
        .analyst
        .query("SELECT call_id, wait_seconds FROM calls WHERE abandoned ORDER BY call_id", &[])
        .await
        .unwrap();
    assert_eq!(abandoned.rows, [[json!("gave up"), json!(60)], [json!("the provider says so"), json!(0)]]);
}

#[tokio::test]
async fn a_post_shows_its_latest_version_until_it_is_deleted() {
    let opened = Opened::fresh().await;
    let first = facts::post("p1", "teh parcel is late", 10, channel::PostEventKind::Published);
    let edited = facts::post("p1", "the parcel is late", 20, channel::PostEventKind::Published);
    opened.store_from(&[edited.clone(), first.clone()], 0).await;
    let text = "SELECT text, deleted, n_items FROM contacts";
    assert_eq!(
        opened.analyst.query(text, &[]).await.unwrap().rows,
        [[json!("the parcel is late"), json!(false), json!(2)]]
    );
    let deleted = facts::post("p1", "", 30, channel::PostEventKind::Deleted);
    opened.store_from(&[deleted, first], 10).await;
    assert_eq!(opened.analyst.query(text, &[]).await.unwrap().rows, [[json!(""), json!(true), json!(3)]]);
}

#[tokio::test]
async fn response_times_are_those_a_direct_computation_gives() {
    let opened = Opened::fresh().await;
    let mut facts = Facts::new();
    let mut seconds = Vec::new();
    for case in 0..21i64 {
        let name = format!("case-{case}");
        facts = facts.mail(&name, case * 1000);
        if case % 3 == 0 {
            continue;
        }
        let wait = 60 + case * case * 7;
        seconds.push(wait as f64);
        // An automatic receipt, the answer, and a later answer.
        facts = facts.automatic_answer(&name, case * 1000 + 1).answer(&name, case * 1000 + wait);
        facts = facts.answer(&name, case * 1000 + wait + 5000);
    }
    // Neither spam nor what the brand began is a customer's case.
    let mut rows = facts.mail("spam", 5).answer("outreach", 7).done();
    for row in rows.iter_mut().filter(|row| row.item.text.starts_with("spam")) {
        row.classification.kind.label = classification::Kind::Spam;
    }
    opened.store(&rows).await;
    let report = opened.analyst.report("response-times", &ReportParams::default()).await.unwrap();
    seconds.sort_by(f64::total_cmp);
    let quantile = |share: f64| {
        let place = share * (seconds.len() - 1) as f64;
        let (low, high) = (seconds[place.floor() as usize], seconds[place.ceil() as usize]);
        low + (high - low) * place.fract()
    };
    assert_eq!(report.rows.len(), 2);
    for row in 0..2 {
        let number = |column: &str| report.value(row, column).and_then(Value::as_f64).unwrap();
        assert_eq!((number("cases"), number("answered"), number("open")), (21.0, 14.0, 7.0));
        assert!((number("median_seconds") - quantile(0.5)).abs() < 0.001);
        assert!((number("p90_seconds") - quantile(0.9)).abs() < 0.001);
        assert!((number("mean_seconds") - seconds.iter().sum::<f64>() / 14.0).abs() < 0.001);
    }
    let params = ReportParams { from: Some(at(0)), to: Some(at(1000)), ..ReportParams::default() };
    let first = opened.analyst.report("response-times", &params).await.unwrap();
    assert_eq!((first.value(0, "cases"), first.value(0, "median_seconds")), (Some(&json!(1)), Some(&Value::Null)));
    let elsewhere = ReportParams { brand: Some("none".into()), ..ReportParams::default() };
    assert_eq!(opened.analyst.report("volume", &elsewhere).await.unwrap().rows.len(), 0);
}

#[tokio::test]
async fn an_answer_that_bounced_is_no_answer_and_a_call_answers_when_it_is_taken() {
    use CallEventKind::*;
    let opened = Opened::fresh().await;
    let mut rows = Facts::new().mail("a", 0).answer("a", 100).mail("b", 0).answer("b", 50).done();
    rows.push(facts::bounce_of("a", 160));
    rows.extend([call_event("c", Started, 0), call_event("c", Answered, 42), call_event("c", Ended, 90)]);
    opened.store(&rows).await;
    let cases = opened
        .analyst
        .query(
            "SELECT channel, time_to_first_response_seconds FROM cases WHERE counted ORDER BY channel, opened_at, \
             isNull(first_response_at)",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(cases.rows, [[json!("email"), json!(50)], [json!("email"), Value::Null], [json!("phone"), json!(42)]]);
}

#[tokio::test]
async fn people_correct_labels_and_close_cases_and_the_latest_word_counts() {
    let opened = Opened::fresh().await;
    let rows = Facts::new().mail("a", 0).done();
    opened.store(&rows).await;
    let item = &rows[0].item;
    let correction = |label: &str| CaseAction::LabelCorrection {
        contact_id: item.contact_id,
        axis: "category".into(),
        label: label.into(),
    };
    let events = [
        facts::case_event(item.case_id, 30, CaseAction::Solved { resolution: Some("sent anew".into()) }),
        facts::case_event(item.case_id, 10, correction("safety")),
        facts::case_event(item.case_id, 20, correction("delivery")),
        facts::case_event(item.case_id, 15, CaseAction::Reopened),
        facts::case_event(item.case_id, 15, CaseAction::Reopened),
    ];
    let mut batch = Batch::new(StoredTable::CaseEvents, "outcry.case.events", 1, 0);
    for (offset, event) in events.iter().enumerate() {
        batch.push(offset as u64, event);
    }
    opened.insert(&batch).await;
    let case = opened.analyst.query("SELECT status, category, n_reopened FROM cases", &[]).await.unwrap();
    assert_eq!(case.rows, [[json!("solved"), json!("delivery"), json!(1)]]);
    assert_eq!(opened.analyst.query("SELECT corrected FROM contacts", &[]).await.unwrap().rows, [[json!(true)]]);
}

/// A pass at 0-60 s misses UID 7 and 8, its whole day 7, 8 and 9, another folder 7. Of a large gap 103 are missing in the
/// pass and 105 in the day, and a hundred are named: 3 and 5 are not.
#[tokio::test]
async fn what_is_missing_in_windows_that_overlap_is_counted_once() {
    let opened = Opened::fresh().await;
    let window = |scope: &str, seconds: std::ops::Range<i64>, missing: u64, uids: std::ops::Range<u32>| Coverage {
        scope: scope.into(),
        window_start: at(seconds.start),
        window_end: at(seconds.end),
        missing_examples: uids.map(|uid| format!("UID {uid}")).collect(),
        ..facts::coverage(missing)
    };
    let mut batch = Batch::new(StoredTable::Coverage, "outcry.source.coverage", 1, 0);
    let windows = [
        window("INBOX", 0..60, 2, 7..9),
        window("INBOX", -100..86_300, 3, 7..10),
        window("INBOX", 60..90, 0, 0..0),
        window("Sent", 0..60, 1, 7..8),
        window("Large", 0..60, 103, 0..100),
        window("Large", -100..86_300, 105, 0..100),
        window("Large", 90_000..90_060, 1, 0..0),
    ];
    for (offset, window) in (0..).zip(&windows) {
        batch.push(offset, window);
    }
    opened.insert(&batch).await;
    let sql = "SELECT scope, sum(missing_once) FROM coverage GROUP BY scope ORDER BY scope";
    let counted = opened.analyst.query(sql, &[]).await.unwrap();
    assert_eq!(
        counted.rows,
        [[json!("INBOX"), json!(3)], [json!("Large"), json!(106)], [json!("Sent"), json!(1)]],
        "7, 8 and 9; a hundred named, five that are not and one of another day; 7"
    );
    assert_eq!(opened.analyst.summary(None).await.unwrap().missing, 110);
    let gaps = opened.analyst.gaps(None).await.unwrap();
    let inbox: Vec<_> = gaps.rows.iter().filter(|row| row[3] == json!("INBOX")).map(|row| &row[8]).collect();
    assert_eq!(inbox, [&json!(1), &json!(2)], "9 in its day, 7 and 8 in the pass");
    assert_eq!(counted_rows(&opened.analyst.query("SELECT count() AS n FROM coverage", &[]).await.unwrap(), "n"), 7);
}

#[tokio::test]
async fn coverage_keeps_the_latest_comparison_and_dead_letters_count_once() {
    let opened = Opened::fresh().await;
    let mut coverage = Batch::new(StoredTable::Coverage, "outcry.source.coverage", 1, 0);
    coverage.push(0, &facts::coverage(3));
    coverage.push(1, &facts::coverage(1));
    opened.insert(&coverage).await;
    assert_eq!(counted_rows(&opened.analyst.gaps(None).await.unwrap(), "missing"), 1);
    let letter = facts::dead_letter();
    let mut letters = Batch::new(StoredTable::DeadLetters, "outcry.dead.letters", 1, 0);
    for offset in 0..3 {
        letters.push(offset, &DeadLetterRow { letter: &letter, key: Some(b"k"), payload: b"\xff\0{" });
    }
    opened.insert(&letters).await;
    let summary = opened.analyst.summary(Some("acme")).await.unwrap();
    assert_eq!((summary.dead_letters, summary.missing), (1, 1));
    assert_eq!(opened.analyst.dead_letters(10).await.unwrap().value(0, "payload_size"), Some(&json!(3)));
}
