//! One test for each edge case of mail, named after what it protects. The messages are written for these tests.

mod charsets;
mod enclosures;

use super::*;
use outcry_domain::Direction;
use proptest::prelude::*;

fn brand() -> Brand {
    serde_json::from_str(r#"{"id":"acme","name":"Acme","own_domains":["acme.example"]}"#).unwrap()
}

fn parse_as(raw: &[u8], source: &str, folder: FolderKind) -> Item {
    let brand = brand();
    let key = CustomerKey::new(b"test");
    parse_mail(
        raw,
        &ParseContext {
            brand: &brand,
            source,
            folder,
            location: None,
            internal_date: Some("2026-03-02T10:00:00Z".parse().unwrap()),
            now: "2026-03-02T10:00:05Z".parse().unwrap(),
            key: &key,
            backfill: false,
            connector: "test",
            whole_size: None,
        },
    )
}

fn parse(raw: &[u8]) -> Item {
    parse_as(raw, "email:support", FolderKind::Inbound)
}

fn details(item: &Item) -> &Mail {
    item.mail.as_ref().unwrap()
}

fn simple(headers: &str, body: &str) -> Vec<u8> {
    format!("From: Ana <ana@example.org>\r\nTo: help@acme.example\r\nSubject: Lamp\r\nDate: Mon, 2 Mar 2026 10:59:00 +0100\r\n{headers}\r\n{body}")
        .into_bytes()
}

fn with_subject(subject: &str, headers: &str) -> Vec<u8> {
    format!("From: Ana <ana@example.org>\r\nTo: help@acme.example\r\nSubject: {subject}\r\n{headers}\r\nHello\r\n")
        .into_bytes()
}

#[test]
fn a_plain_mail_is_read() {
    let item = parse(&simple("Message-ID: <1@example.org>\r\n", "The lamp is broken.\r\n"));
    assert_eq!(item.text, "The lamp is broken.");
    assert_eq!(item.subject.as_deref(), Some("Lamp"));
    assert_eq!(item.customer.address.as_deref(), Some("ana@example.org"));
    assert_eq!(item.customer.name.as_deref(), Some("Ana"));
    assert_eq!(item.occurred_at, "2026-03-02T09:59:00Z".parse().unwrap());
    assert_eq!(item.effective_at, item.received_at);
    assert_eq!((item.direction, item.author_kind), (Direction::Inbound, AuthorKind::Human));
    assert_eq!(details(&item).message_id, "1@example.org");
    assert!(details(&item).defects.is_empty(), "{:?}", details(&item).defects);
}

#[test]
fn a_mail_without_a_message_id_is_a_contact_and_a_case() {
    let one = parse(&simple("", "first"));
    let other = parse(&simple("", "second"));
    assert_ne!(one.contact_id, other.contact_id);
    assert_ne!(one.case_id, other.case_id);
    assert_eq!(one.contact_id, parse(&simple("", "first")).contact_id);
}

#[test]
fn two_mails_with_one_message_id_are_two_contacts() {
    let headers = "Message-ID: <same@dhl.example>\r\n";
    assert_ne!(parse(&simple(headers, "parcel 1")).contact_id, parse(&simple(headers, "parcel 2")).contact_id);
}

#[test]
fn one_mail_in_two_mailboxes_is_two_items_of_one_contact() {
    let first = simple("Message-ID: <1@x>\r\n", "text\r\n\r\n");
    let mut second =
        b"Received: from a by b; Mon, 2 Mar 2026 10:00:00 +0000\r\nDelivered-To: info@acme.example\r\n".to_vec();
    second.extend_from_slice(String::from_utf8(first.clone()).unwrap().replace("\r\n", "\n").as_bytes());
    let first = parse_as(&first, "email:support", FolderKind::Inbound);
    let second = parse_as(&second, "email:info", FolderKind::Inbound);
    assert_ne!(first.item_id, second.item_id);
    assert_eq!(first.contact_id, second.contact_id);
    assert_eq!(first.case_id, second.case_id);
}

#[test]
fn an_answer_from_the_sent_folder_is_outbound_in_the_customers_case() {
    let question = parse(&simple("Message-ID: <q@x>\r\n", "Where is it?"));
    let answer = parse_as(
        b"From: Bo <bo@acme.example>\r\nTo: Ana <ANA@example.org>\r\nSubject: Re: Lamp\r\nMessage-ID: <a@acme>\r\nIn-Reply-To: <q@x>\r\nReferences: <q@x>\r\n\r\nOn its way.\r\n",
        "email:support",
        FolderKind::Sent,
    );
    assert_eq!(answer.direction, Direction::Outbound);
    assert_eq!(answer.case_id, question.case_id);
    assert_eq!(answer.customer.customer_id, question.customer.customer_id);
}

#[test]
fn a_strangers_forged_reply_opens_a_case_of_its_own() {
    let question = parse(&simple("Message-ID: <q@x>\r\n", "Where is it?"));
    let forged = parse(b"From: mallory@evil.example\r\nTo: help@acme.example\r\nIn-Reply-To: <q@x>\r\nReferences: <q@x>\r\n\r\nSend it to me.\r\n");
    assert_ne!(forged.case_id, question.case_id);
}

#[test]
fn a_ticket_number_in_the_subject_joins_nothing() {
    let one = parse(&with_subject("Re: [Ticket#4711] Lamp", "Message-ID: <1@x>\r\n"));
    let other = parse(&with_subject("Re: [Ticket#4711] Lamp", "Message-ID: <2@x>\r\n"));
    assert_ne!(one.case_id, other.case_id);
}

#[test]
fn references_come_before_in_reply_to() {
    let root = parse(&simple("Message-ID: <r@x>\r\n", "a"));
    let later = parse(&simple("Message-ID: <3@x>\r\nIn-Reply-To: <2@x>\r\nReferences: <r@x> <2@x>\r\n", "b"));
    assert_eq!(root.case_id, later.case_id);
}

#[test]
fn an_empty_or_broken_from_is_still_a_contact() {
    for from in ["", "From:\r\n", "From: <>\r\n", "From: Ana\r\n", "From: \"\r\n", "From: =?utf-8?q?=?=\r\n"] {
        let item = parse(format!("{from}To: help@acme.example\r\nSubject: x\r\n\r\nText of {from:?}\r\n").as_bytes());
        assert!(item.customer.address.is_none(), "{from:?}");
        assert!(item.text.starts_with("Text of"), "{from:?}");
    }
    let item = parse("From: Jürgen <jürgen@example.org>\r\n\r\nx".as_bytes());
    assert_eq!(item.customer.address.as_deref(), Some("jürgen@example.org"));
}

#[test]
fn an_unreadable_date_is_1970_and_a_future_one_does_not_move_the_clock() {
    let item = parse(b"From: a@example.org\r\nDate: the day before yesterday\r\n\r\nx");
    assert!(item.occurred_at.is_unknown());
    assert_eq!(item.effective_at, "2026-03-02T10:00:00Z".parse().unwrap());
    assert!(details(&item).defects.iter().any(|defect| defect.contains("Date")));
    let item = parse(b"From: a@example.org\r\nDate: Mon, 2 Mar 2099 10:59:00 +0100\r\n\r\nx");
    assert_eq!(item.effective_at, "2026-03-02T10:00:00Z".parse().unwrap());
    assert!(item.clock_suspect);
}

#[test]
fn the_html_is_read_when_the_plain_part_is_empty() {
    let raw = b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n \r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>The <b>lamp</b> is broken</p>\r\n--b--\r\n";
    assert_eq!(parse(raw).text, "The lamp is broken");
}

#[test]
fn the_plain_part_is_read_before_the_html() {
    let raw = b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>rich</p>\r\n--b--\r\n";
    assert_eq!(parse(raw).text, "plain");
}

#[test]
fn attachments_are_described_and_not_read_as_text() {
    let raw = b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSee photo\r\n--b\r\nContent-Type: image/png; name=\"=?utf-8?q?Lampe_=C3=BC.png?=\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"=?utf-8?q?Lampe_=C3=BC.png?=\"\r\n\r\nAAEC\r\n--b--\r\n";
    let item = parse(raw);
    assert_eq!(item.text, "See photo");
    let attachment = &details(&item).attachments[0];
    assert_eq!(
        (attachment.name.as_str(), attachment.media_type.as_str(), attachment.size),
        ("Lampe ü.png", "image/png", 3)
    );
    // SHA-256 of the bytes 00 01 02.
    assert_eq!(attachment.sha256, "ae4b3280e56e2faf83f414a6e3dabe9d5fbe18976544c05fed121accb85b53fc");
}

#[test]
fn japanese_without_a_charset_is_text() {
    let mut raw = b"From: a@example.org\r\nSubject: x\r\n\r\n".to_vec();
    raw.extend_from_slice(&encoding_rs::ISO_2022_JP.encode("商品が壊れていました。").0);
    assert_eq!(parse(&raw).text, "商品が壊れていました。");
}

#[test]
fn japanese_in_quoted_printable_is_text() {
    let bytes = encoding_rs::ISO_2022_JP.encode("返金希望").0.into_owned();
    let encoded: String = bytes.iter().map(|byte| format!("={byte:02X}")).collect();
    let raw = format!(
        "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{encoded}\r\n"
    );
    assert_eq!(parse(raw.as_bytes()).text, "返金希望");
}

#[test]
fn chinese_beyond_gb2312_under_that_name_is_text() {
    let mut raw = b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=gb2312\r\nContent-Transfer-Encoding: 8bit\r\n\r\n".to_vec();
    raw.extend_from_slice(&encoding_rs::GBK.encode("朱镕基的订单没有收到").0);
    assert_eq!(parse(&raw).text, "朱镕基的订单没有收到");
}

#[test]
fn html_in_windows_1250_named_by_its_meta_element_is_text() {
    let encoding = encoding_rs::WINDOWS_1250;
    let mut raw = b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<html><head><meta charset=windows-1250></head><body>".to_vec();
    raw.extend_from_slice(&encoding.encode("Paczka źle doręczona, proszę o zwrot pieniędzy").0);
    raw.extend_from_slice(b"</body></html>");
    assert_eq!(parse(&raw).text, "Paczka źle doręczona, proszę o zwrot pieniędzy");
}

#[test]
fn out_of_office_answers_of_ten_languages_are_automatic() {
    for subject in [
        "Automatic reply: Lamp",
        "Abwesenheitsnotiz: Lamp",
        "Réponse automatique : Lamp",
        "Respuesta automática: Lamp",
        "Risposta automatica: Lamp",
        "Resposta automática: Lamp",
        "Automatisch antwoord: Lamp",
        "自動返信: Lamp",
        "自动回复: Lamp",
        "Odpowiedź automatyczna: Lamp",
        "Autosvar: Lamp",
    ] {
        let item = parse(&with_subject(subject, ""));
        assert_eq!(details(&item).automatic, Some(AutomaticMail::AutoReply), "{subject}");
        assert_eq!(item.author_kind, AuthorKind::Automatic);
    }
}

#[test]
fn headers_of_automatic_mail_are_believed() {
    for (header, expected) in [
        ("Auto-Submitted: auto-replied (vacation)", Some(AutomaticMail::AutoReply)),
        ("Auto-Submitted: auto-generated", Some(AutomaticMail::Notification)),
        ("Auto-Submitted: no", None),
        ("X-Autoreply: yes", Some(AutomaticMail::AutoReply)),
        ("Precedence: auto_reply", Some(AutomaticMail::AutoReply)),
    ] {
        assert_eq!(details(&parse(&with_subject("Lamp", &format!("{header}\r\n")))).automatic, expected, "{header}");
    }
    let item = parse(b"From: No-Reply <no-reply@shop.example>\r\nSubject: Your order\r\n\r\nx");
    assert_eq!(details(&item).automatic, Some(AutomaticMail::Notification));
}

#[test]
fn precedence_bulk_keeps_the_complaint() {
    for header in ["Precedence: bulk\r\n", "Precedence: list\r\nList-Id: Residents <residents.example.org>\r\n"] {
        let item = parse(&simple(header, "The heating fails."));
        assert_eq!(item.text, "The heating fails.");
        assert!(details(&item).bulk);
        assert_eq!(details(&item).automatic, None);
    }
    let item = parse(&simple("List-Id: Residents <residents.example.org>\r\n", "x"));
    assert_eq!(details(&item).list_id.as_deref(), Some("residents.example.org"));
}

const BOUNCE: &str = "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example\r\nTo: help@acme.example\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nIt failed.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; ana@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: help@acme.example\r\nTo: ana@example.org\r\nMessage-ID: <answer@acme>\r\nReferences: <q@x>\r\n\r\nOn its way.\r\n--b--\r\n";

#[test]
fn a_delivery_report_is_tied_to_the_mail_and_the_customer_it_is_about() {
    let question = parse(&simple("Message-ID: <q@x>\r\n", "Where is it?"));
    let bounce = parse(BOUNCE.as_bytes());
    assert_eq!(details(&bounce).automatic, Some(AutomaticMail::Bounce));
    assert_eq!(details(&bounce).bounce_of.as_deref(), Some("answer@acme"));
    assert_eq!(bounce.customer.address.as_deref(), Some("ana@example.org"));
    assert_eq!(bounce.case_id, question.case_id);
    let delayed = parse(BOUNCE.replace("Action: failed", "Action: delayed").as_bytes());
    assert_eq!(details(&delayed).automatic, Some(AutomaticMail::Notification));
    assert_eq!(details(&delayed).bounce_of, None);
}

#[test]
fn returned_headers_alone_tie_a_report_too() {
    let raw = BOUNCE.replace("Content-Type: message/rfc822", "Content-Type: text/rfc822-headers");
    assert_eq!(details(&parse(raw.as_bytes())).bounce_of.as_deref(), Some("answer@acme"));
}

#[test]
fn a_free_form_bounce_is_one_and_a_complaint_about_bounces_is_not() {
    let raw = b"Return-Path: <>\r\nFrom: postmaster@old.example\r\nSubject: failure notice\r\nIn-Reply-To: <answer@acme>\r\n\r\nSorry.\r\n";
    let item = parse(raw);
    assert_eq!(details(&item).automatic, Some(AutomaticMail::Bounce));
    assert_eq!(details(&item).bounce_of.as_deref(), Some("answer@acme"));
    assert_eq!(details(&parse(&with_subject("Returned mail: why do you bounce my mails?", ""))).automatic, None);
}

#[test]
fn a_read_receipt_is_not_an_answer() {
    let raw = b"From: ana@example.org\r\nTo: help@acme.example\r\nSubject: Read: Lamp\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n\r\n--b\r\n\r\nRead.\r\n--b\r\nContent-Type: message/disposition-notification\r\n\r\nOriginal-Message-ID: <answer@acme>\r\nDisposition: manual-action/MDN-sent-manually; displayed\r\n--b--\r\n";
    assert_eq!(details(&parse(raw)).automatic, Some(AutomaticMail::ReadReceipt));
}

#[test]
fn a_complaint_forwarded_by_staff_is_the_customers() {
    let raw = "From: Bo <bo@acme.example>\r\nTo: help@acme.example\r\nSubject: Fwd: Lamp\r\n\r\nPlease handle.\r\n\r\n---------- Forwarded message ---------\r\nFrom: Ana <ana@example.org>\r\nDate: Mon, 2 Mar 2026\r\nSubject: Lamp\r\nTo: bo@acme.example\r\n\r\nThe lamp is broken.\r\n";
    let item = parse(raw.as_bytes());
    assert_eq!(item.direction, Direction::Inbound);
    assert_eq!(item.customer.address.as_deref(), Some("ana@example.org"));
    assert!(details(&item).forwarded_by_staff);
    assert!(item.text.contains("The lamp is broken."));
}

#[test]
fn a_contact_form_under_our_own_name_is_the_customers() {
    let raw = b"From: forms@acme.example\r\nReply-To: Ana <ana@example.org>\r\nTo: help@acme.example\r\nSubject: Contact form\r\n\r\nThe lamp is broken.\r\n";
    let item = parse(raw);
    assert_eq!((item.direction, item.customer.address.as_deref()), (Direction::Inbound, Some("ana@example.org")));
}

#[test]
fn signed_and_encrypted_mail_is_kept_and_flagged() {
    let smime = b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\nMIAG\r\n";
    let item = parse(smime);
    assert_eq!(details(&item).wrapper.as_deref(), Some("smime"));
    assert_eq!(details(&item).attachments.len(), 1);
    let pgp = b"From: a@example.org\r\n\r\n-----BEGIN PGP MESSAGE-----\r\nabc\r\n-----END PGP MESSAGE-----\r\n";
    assert_eq!(details(&parse(pgp)).wrapper.as_deref(), Some("pgp"));
}

#[test]
fn flowed_lines_are_sentences_again() {
    let raw = b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; format=flowed\r\n\r\nThe lamp \r\nis broken.\r\nBye\r\n";
    assert_eq!(parse(raw).text, "The lamp is broken.\nBye");
}

#[test]
fn garbage_of_every_sort_is_an_item_with_defects() {
    for raw in [
        &b""[..],
        b"\r\n",
        b"\0\0\0",
        b"no header at all",
        b"\xff\xfe\xfd",
        b":",
        b"From",
        b"\x1b$B",
        b"--\r\n--\r\n",
        b"Subject: x",
    ] {
        let item = parse(raw);
        assert!(!details(&item).defects.is_empty(), "{raw:?}: {:?}", item.text);
    }
    assert_eq!(parse(b"no header at all").text, "no header at all");
}

#[test]
fn nul_bytes_and_lone_surrogates_do_not_break_the_json() {
    let mut raw = simple("Content-Type: text/plain; charset=utf-8\r\n", "a\0b ");
    raw.extend_from_slice(b"\xed\xa0\x80 \xff end");
    let item = parse(&raw);
    assert!(item.text.starts_with("a\u{FFFD}b"), "{:?}", item.text);
    let json = serde_json::to_vec(&item).unwrap();
    assert_eq!(serde_json::from_slice::<Item>(&json).unwrap(), item);
}

#[test]
fn a_text_of_more_than_a_megabyte_is_cut_and_says_so() {
    let item = parse(&simple("", &"word ".repeat(300_000)));
    assert_eq!(item.text.chars().count(), MAX_TEXT_CHARS);
    assert!(item.origin.truncated);
}

#[test]
fn bombs_are_kept_as_text_and_do_not_burst() {
    let headers = format!("From: a@example.org\r\n{}\r\nbody", "a:\n".repeat(1_000_000));
    let parts = format!(
        "From: a@example.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{}",
        "--b\n\n".repeat(500_000)
    );
    let nested = format!("From: a@example.org\r\n{}", "Content-Type: message/rfc822\n\n".repeat(200_000));
    let multiparts: String =
        (0..20_000).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n")).collect();
    for raw in [headers, parts, nested, multiparts] {
        let start = std::time::Instant::now();
        let item = parse(raw.as_bytes());
        assert!(!details(&item).defects.is_empty());
        assert!(start.elapsed() < std::time::Duration::from_secs(10));
    }
}

#[test]
fn nesting_that_is_allowed_does_not_exhaust_a_small_stack() {
    let raw = format!("From: a@example.org\r\n{}\r\nhello", "Content-Type: message/rfc822\n\n".repeat(390));
    std::thread::Builder::new()
        .stack_size(1 << 20)
        .spawn(move || {
            parse(raw.as_bytes());
        })
        .unwrap()
        .join()
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_give_an_item_and_the_same_one(raw in prop::collection::vec(any::<u8>(), 0..600)) {
        let item = parse(&raw);
        prop_assert_eq!(&item, &parse(&raw));
    }

    #[test]
    fn any_mutilated_mail_gives_an_item(cut in 0usize..900, at in 0usize..900, byte in any::<u8>()) {
        let mut raw = BOUNCE.as_bytes().to_vec();
        raw.truncate(raw.len().min(cut.max(1)));
        let at = at % raw.len();
        raw[at] = byte;
        let item = parse(&raw);
        prop_assert!(serde_json::to_vec(&item).is_ok());
    }
}
