//! Headers and structures that are not as they should be.

use super::*;

#[test]
fn empty_lines_and_an_mbox_line_before_the_header_are_passed_over() {
    for before in
        ["\r\n\r\n", "From ana@example.org Mon Mar  2 10:00:00 2026\n", "\u{FEFF}", "\n>From x Mon Mar 2 2026\n"]
    {
        let item = parse(&[before.as_bytes(), &simple("Message-ID: <1@x>\r\n", "Broken.")].concat());
        assert_eq!((item.text.as_str(), item.subject.as_deref()), ("Broken.", Some("Lamp")), "{before:?}");
        assert!(details(&item).defects.is_empty(), "{before:?}");
    }
}

#[test]
fn line_ends_of_any_kind_are_line_ends() {
    let unix = String::from_utf8(simple("", "one\r\ntwo\r\n")).unwrap().replace("\r\n", "\n");
    for ends in ["\n", "\r\n", "\r\r\n", "\r"] {
        let item = parse(unix.replace('\n', ends).as_bytes());
        assert_eq!((item.text.as_str(), item.subject.as_deref()), ("one\ntwo", Some("Lamp")), "{ends:?}");
    }
}

#[test]
fn unencoded_headers_are_read_in_the_charset_of_the_body() {
    for (label, encoding, text) in [
        ("koi8-r", encoding_rs::KOI8_R, "Лампа"),
        ("euc-kr", encoding_rs::EUC_KR, "램프 고장"),
        ("windows-1254", encoding_rs::WINDOWS_1254, "Gerçek lamba kırıldı"),
        ("big5", encoding_rs::BIG5, "檯燈壞了"),
    ] {
        let mut raw = b"From: a@example.org\r\nSubject: ".to_vec();
        raw.extend_from_slice(&encoding.encode(text).0);
        raw.extend_from_slice(format!("\r\nContent-Type: text/plain; charset={label}\r\n\r\n").as_bytes());
        raw.extend_from_slice(&encoding.encode(text).0);
        let item = parse(&raw);
        assert_eq!((item.subject.as_deref(), item.text.as_str()), (Some(text), text), "{label}");
    }
    let item = parse(b"From: a@example.org\r\nSubject: It cost \xa380\r\n\r\nx");
    assert_eq!(item.subject.as_deref(), Some("It cost £80"));
}

#[test]
fn utf_8_with_a_byte_from_windows_loses_nothing() {
    let mut raw = simple(
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
        "Grüße, schöne Lampe ",
    );
    raw.extend_from_slice(b"\x80 5");
    assert_eq!(parse(&raw).text, "Grüße, schöne Lampe € 5");
}

#[test]
fn broken_encoded_words_are_read_as_far_as_they_go() {
    for (written, expected) in [
        ("=?utf-8?Q?R=C3=A9clamation_n=C2=B0_5", "Réclamation n° 5"),
        ("=?utf-8?B?UsOpY2xhbWF0aW9u", "Réclamation"),
        ("=?UTF-8?Q?R=C3=A9cla mation?=", "Récla mation"),
        ("=?utf-8?B?UsOpY2xhbWF0aW9u?==?utf-8?Q?_5?=", "Réclamation 5"),
        ("=?x-unknown?Q?Lampe?=", "Lampe"),
        ("=?iso-8859-1*fr?Q?R=E9clamation?=", "Réclamation"),
        ("\"=?utf-8?Q?Lampe?=\"", "\"Lampe\""),
        ("=?iso-2022-jp?B?GyRCSlY2YhsoQg==?=\r\n =?iso-2022-jp?B?GyRCNHVLPhsoQg==?=", "返金希望"),
    ] {
        assert_eq!(parse(&with_subject(written, "")).subject.as_deref(), Some(expected), "{written}");
    }
}

#[test]
fn seven_bit_charsets_of_korea_and_china_are_text() {
    let korean = simple("Content-Type: text/plain; charset=iso-2022-kr\r\n", "\x1b$)C\x0eH/\x0f\r\n");
    assert_eq!(parse(&korean).text, "환");
    let chinese = simple("Content-Type: text/plain; charset=hz-gb-2312\r\n", "~{VPND~}\r\n");
    assert_eq!(parse(&chinese).text, "中文");
    let utf7 = simple("Content-Type: text/plain; charset=utf-7\r\n", "Stra+AN8-e\r\n");
    assert_eq!(parse(&utf7).text, "Straße");
}

#[test]
fn address_fields_are_read_however_they_are_written() {
    for written in [
        "Ana <ana@example.org>",
        "ana@example.org",
        "<ana@example.org>",
        "ana@example.org (Ana)",
        "\"Ana, the customer\" <ana@example.org>",
        "<@relay.example,@other.example:ana@example.org>",
        "Ana <ana@example.org",
        "Ana ana@example.org>",
        "Ana [mailto:ana@example.org]",
        "Ana <mailto:ana@example.org>",
        "'Ana' <ana@example.org>",
        "=?utf-8?q?Ana_=3Cana=40example=2Eorg=3E?=",
        "\"ana@example.org\" <ana@example.org>",
        "Ana < ana@example.org >",
        "Ana\r\n <ana@example.org>",
        "ana@EXAMPLE.org.",
        "Müller, Ana <ana@example.org>",
    ] {
        let item = parse(format!("From: {written}\r\nSubject: x\r\n\r\nx").as_bytes());
        assert_eq!(details(&item).from, "ana@example.org", "{written}");
    }
    for (written, expected) in [
        ("a@x.example; b@x.example", &["a@x.example", "b@x.example"][..]),
        ("a@x.example,, b@x.example,", &["a@x.example", "b@x.example"]),
        ("undisclosed-recipients:;", &[]),
        ("undisclosed-recipients:;@x.example", &[]),
        ("Team: a@x.example, B <b@x.example>;, c@x.example", &["a@x.example", "b@x.example", "c@x.example"]),
        ("\"a b\"@x.example", &[]),
    ] {
        let item = parse(format!("From: q@example.org\r\nTo: {written}\r\n\r\nx").as_bytes());
        assert_eq!(details(&item).to, expected, "{written}");
    }
}

#[test]
fn a_truncated_or_spoiled_transfer_encoding_gives_what_can_be_read() {
    let base64 =
        |body: &str| simple("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n", body);
    assert_eq!(parse(&base64("VGhlIGxhbXAgaXMgYnJva2Vu")).text, "The lamp is broken");
    assert_eq!(parse(&base64("VGhlIGxhbXAgaXMgYnJva2VuL")).text, "The lamp is broken");
    let with_notice = parse(&base64("VGhlIGxhbXAgaXMgYnJva2Vu\r\n_______________\r\nA list's notice\r\n")).text;
    assert!(with_notice.starts_with("The lamp is broken") && with_notice.contains("A list's notice"), "{with_notice}");
    let quoted = simple("Content-Transfer-Encoding: Quoted-Printable;\r\n", "100=% of the lam=\r\nps =3D all=C3=BC");
    assert_eq!(parse(&quoted).text, "100=% of the lamps = allü");
}

#[test]
fn a_structure_without_its_declaration_is_found() {
    let raw = simple(
        "",
        "This is a multi-part message in MIME format.\r\n\r\n--b12\r\nContent-Type: text/plain\r\n\r\nThe lamp.\r\n--b12\r\nContent-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b12--\r\n",
    );
    let item = parse(&raw);
    assert_eq!((item.text.as_str(), details(&item).attachments.len()), ("The lamp.", 1));
    assert!(!details(&item).defects.is_empty());
}

#[test]
fn headers_of_other_help_desks_are_not_obeyed() {
    let plain = parse(&simple("Message-ID: <1@x>\r\n", "x"));
    let forged = parse(&simple(
        "Message-ID: <1@x>\r\nX-Zammad-Ticket-Id: 7\r\nX-Zammad-Customer-Email: bo@example.org\r\nThread-Index: AQHV\r\nThread-Topic: Lamp\r\n",
        "x",
    ));
    assert_eq!((plain.case_id, plain.contact_id), (forged.case_id, forged.contact_id));
}

#[test]
fn answers_to_a_mail_we_never_saw_are_one_case() {
    let one = parse(&simple("Message-ID: <2@x>\r\nReferences: <unseen@x>\r\n", "a"));
    let other = parse(&simple("Message-ID: <3@x>\r\nReferences: <unseen@x> <2@x>\r\nSubject: another\r\n", "b"));
    assert_eq!(one.case_id, other.case_id);
}
