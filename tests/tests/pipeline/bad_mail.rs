//! Mail as it really comes, in a real mailbox: each is stored or in dead letters with a reason, and the next one arrives.

use crate::setup::{EMAIL, Mailbox, PATIENCE, classified, mail};
use outcry_tests::Pipeline;

/// The pipeline, and one row of `columns` for the mail whose Message-ID is `bad@customer.example` (none if it is in dead
/// letters), once a good mail behind it has arrived.
async fn row_of(raw: Vec<u8>, columns: &str) -> (Pipeline<'static>, Vec<String>) {
    let mailbox = Mailbox::new().await;
    mailbox.deliver(vec![raw, mail("good", "ana", "Where is it?", "The parcel has not arrived.")]);
    let mut pipeline = classified(&mailbox.sections()).await;
    pipeline.start(&[EMAIL]).await.unwrap();
    let good = "SELECT count() FROM {db}.items WHERE mail_message_id = 'good@customer.example'";
    pipeline.wait_for(good, 1, PATIENCE).await.unwrap();
    let accounted =
        "SELECT (SELECT count() FROM {db}.items) + (SELECT count() FROM {db}.stored_dead_letters WHERE reason != '')";
    pipeline.wait_for(accounted, 2, PATIENCE).await.unwrap();
    let others = "FROM {db}.items WHERE mail_message_id != 'good@customer.example'";
    let rows = pipeline.ask(&format!("SELECT {columns} {others}")).await.unwrap();
    (pipeline, rows)
}

fn replaced(text: &str, part: &[u8]) -> Vec<u8> {
    let raw = mail("bad", "ben", "About my order", text);
    let at = raw.windows(4).position(|window| window == b"PART").unwrap();
    [&raw[..at], part, &raw[at + 4..]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_utf8_is_stored_with_what_can_be_read() {
    let raw = replaced("The invoice PART is wrong.", b"\xc3\x28 \xff\xfe \xed\xa0\x80");
    let (_pipeline, rows) =
        row_of(raw, "position(text, 'The invoice') > 0, position(text, 'is wrong') > 0, isValidUTF8(text)").await;
    assert_eq!(rows, ["1\t1\t1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nul_bytes_do_not_cut_a_mail_short() {
    let (_pipeline, rows) = row_of(replaced("Before PART after.", b"\0\0"), "position(text, 'after') > 0").await;
    assert_eq!(rows, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_dated_1970_or_2099_counts_from_its_arrival() {
    for (year, shown) in [("Thu, 01 Jan 1970 00:00:01 +0000", "1970"), ("Thu, 31 Dec 2099 23:59:59 +0000", "2099")] {
        let raw = String::from_utf8(mail("bad", "ben", "An old matter", "Please answer.")).unwrap();
        let date = raw.lines().find(|line| line.starts_with("Date: ")).unwrap().to_owned();
        let raw = raw.replace(&date, &format!("Date: {year}"));
        let columns = "toYear(occurred_at), clock_suspect, abs(dateDiff('hour', effective_at, now())) < 24";
        let (_pipeline, rows) = row_of(raw.into_bytes(), columns).await;
        assert_eq!(rows, [format!("{shown}\ttrue\t1")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_without_a_body_or_without_anything_is_accounted_for() {
    let headers_only =
        b"Message-ID: <bad@customer.example>\r\nFrom: ben@customer.example\r\nTo: care@acme.example\r\n\r\n".to_vec();
    let (_pipeline, rows) = row_of(headers_only, "length(text)").await;
    assert_eq!(rows, ["0"]);
    // Not even a header: nothing to say about it but that it came.
    let (_pipeline, rows) = row_of(b"\r\n".to_vec(), "length(text)").await;
    assert!(rows.is_empty() || rows == ["0"], "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_of_a_megabyte_is_stored() {
    let text = "Nobody answers and the parcel is late.\r\n".repeat(27_000);
    let (_pipeline, rows) =
        row_of(mail("bad", "ben", "A long story", &text), "length(text) > 200000, origin_raw_size > 1000000").await;
    assert_eq!(rows, ["1\t1"]);
}
