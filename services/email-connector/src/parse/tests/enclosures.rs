//! What is packed, wrapped, enclosed or returned.

use super::*;
use crate::parse::{smime, tnef};

fn encoded(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    // Quoted-printable needs no crate.
    bytes.iter().enumerate().fold(String::new(), |mut text, (index, byte)| {
        let _ = write!(text, "={byte:02X}");
        if index % 20 == 19 {
            text.push_str("=\r\n");
        }
        text
    })
}

fn with_part(text: &str, header: &str, part: &str) -> Vec<u8> {
    simple(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n",
        &format!("--b\r\nContent-Type: text/plain\r\n\r\n{text}\r\n--b\r\n{header}\r\n\r\n{part}\r\n--b--\r\n"),
    )
}

#[test]
fn winmail_dat_gives_its_body_and_attachments() {
    let header = "Content-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: quoted-printable";
    let item = parse(&with_part("", header, &encoded(&tnef::tests::winmail())));
    assert_eq!(item.text, "The lamp\nis bröken.");
    let attachment = &details(&item).attachments[0];
    assert_eq!(
        (attachment.name.as_str(), attachment.media_type.as_str(), attachment.size),
        ("Rechnung über Lampe.pdf", "application/pdf", 4)
    );
    assert_eq!(details(&item).attachments.len(), 1);
    let item = parse(&with_part("Own words.", header, &encoded(&tnef::tests::winmail())));
    assert_eq!(item.text, "Own words.");
    let item = parse(&with_part("Own words.", header, "spoiled"));
    assert_eq!(details(&item).attachments[0].name, "winmail.dat");
    assert!(details(&item).defects.iter().any(|defect| defect.contains("winmail.dat")));
}

#[test]
fn opaque_signed_mail_is_read_and_flagged() {
    let inner = "Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThe lamp is broken.\r\n--i\r\nContent-Type: image/png; name=a.png\r\n\r\nx\r\n--i--\r\n";
    let raw = simple(
        "Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\nContent-Transfer-Encoding: quoted-printable\r\n",
        &encoded(&smime::tests::signed(inner.as_bytes())),
    );
    let item = parse(&raw);
    assert_eq!((item.text.as_str(), details(&item).wrapper.as_deref()), ("The lamp is broken.", Some("smime")));
    assert_eq!(details(&item).attachments.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["a.png", "smime.p7m"]);
}

#[test]
fn clear_signed_mail_is_its_text() {
    let body = "-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\nThe lamp is broken.\r\n- -- \r\nAna\r\n-----BEGIN PGP SIGNATURE-----\r\n\r\niQE=\r\n-----END PGP SIGNATURE-----\r\n";
    let item = parse(&simple("", body));
    assert_eq!((item.text.as_str(), details(&item).wrapper.as_deref()), ("The lamp is broken.", Some("pgp")));
    let signed = simple(
        "Content-Type: multipart/signed; protocol=\"application/pgp-signature\"; boundary=b\r\n",
        "--b\r\n\r\nThe lamp.\r\n--b\r\nContent-Type: application/pgp-signature; name=signature.asc\r\n\r\nx\r\n--b--\r\n",
    );
    let item = parse(&signed);
    assert_eq!((item.text.as_str(), details(&item).wrapper.as_deref()), ("The lamp.", Some("pgp")));
}

#[test]
fn an_invitation_is_noted_and_read_when_there_is_nothing_else() {
    let calendar = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VTIMEZONE\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nSUMMARY:Visit about the\r\n  lamp\r\nDTSTART:20260302T100000Z\r\nDESCRIPTION:Bring\\, please\\, a new one.\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let alone = parse(&simple("Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n", calendar));
    assert_eq!(details(&alone).calendar.as_deref(), Some("request"));
    assert_eq!(alone.text, "Visit about the lamp\n20260302T100000Z\nBring, please, a new one.");
    let item = parse(&with_part("See you.", "Content-Type: text/calendar; method=REPLY", calendar));
    assert_eq!((item.text.as_str(), details(&item).calendar.as_deref()), ("See you.", Some("reply")));
    assert_eq!(details(&item).attachments[0].media_type, "text/calendar");
}

const COMPLAINT: &str = "From: Ana <ana@example.org>\r\nTo: bo@acme.example\r\nSubject: Lamp\r\nMessage-ID: <c@x>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThe lamp is broken.\r\n";

#[test]
fn a_complaint_forwarded_as_an_attachment_is_the_customers() {
    let raw = String::from_utf8(with_part("Please handle.", "Content-Type: message/rfc822", COMPLAINT)).unwrap();
    let item = parse(
        raw.replace("From: Ana <ana@example.org>\r\nTo: help", "From: Bo <bo@acme.example>\r\nTo: help").as_bytes(),
    );
    assert_eq!(item.customer.address.as_deref(), Some("ana@example.org"));
    assert!(details(&item).forwarded_by_staff);
    assert_eq!(item.direction, Direction::Inbound);
    assert_eq!(item.text, "Please handle.\n\nThe lamp is broken.");
    assert_eq!(details(&item).attachments[0].name, "Lamp.eml");
}

#[test]
fn an_enclosed_message_is_read_when_there_is_nothing_else() {
    let item = parse(&simple("Content-Type: message/rfc822\r\n", COMPLAINT));
    assert_eq!(item.text, "The lamp is broken.");
    assert!(!details(&item).forwarded_by_staff);
}

#[test]
fn a_forward_by_outlook_with_a_note_above_is_the_customers() {
    for subject in ["WG: Lampe", "Lampe"] {
        let raw = format!(
            "From: Bo <bo@acme.example>\r\nTo: help@acme.example\r\nSubject: {subject}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nBitte bearbeiten.\r\n\r\nVon: Ana <ana@example.org>\r\nGesendet: Montag\r\nAn: bo@acme.example\r\nBetreff: Lampe\r\n\r\nDie Lampe ist kaputt.\r\n"
        );
        let item = parse(raw.as_bytes());
        assert_eq!(item.customer.address.as_deref(), Some("ana@example.org"), "{subject}");
        assert!(item.text.contains("Die Lampe ist kaputt."), "{subject}");
    }
}

#[test]
fn a_file_within_the_text_is_an_attachment() {
    let item = parse(&simple("", "See below.\r\nbegin 644 lamp.txt\r\n%:&5L;&\\\r\n`\r\nend\r\nAna\r\n"));
    assert_eq!(item.text, "See below.\nAna");
    assert_eq!((details(&item).attachments[0].name.as_str(), details(&item).attachments[0].size), ("lamp.txt", 5));
}

#[test]
fn a_stub_that_points_to_the_html_is_not_the_text() {
    let raw = simple(
        "Content-Type: multipart/alternative; boundary=b\r\n",
        "--b\r\n\r\nYour program does not support HTML.\r\n--b\r\nContent-Type: multipart/related; boundary=r\r\n\r\n--r\r\nContent-Type: text/html\r\n\r\n<p>The lamp is broken, and it was <b>expensive</b>.</p>\r\n--r\r\nContent-Type: image/png; name=logo.png\r\nContent-ID: <l>\r\n\r\nx\r\n--r--\r\n--b--\r\n",
    );
    let item = parse(&raw);
    assert_eq!(item.text, "The lamp is broken, and it was expensive.");
    assert_eq!(details(&item).attachments.len(), 1);
}

#[test]
fn a_bounce_tells_its_status_and_the_failed_address_in_its_own_words() {
    assert_eq!(details(&parse(BOUNCE.as_bytes())).bounce_status.as_deref(), Some("5.1.1"));
    let qmail = "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example\r\nTo: help@acme.example\r\nSubject: failure notice\r\n\r\nHi. This is the qmail-send program at mx.example.\r\nI'm afraid I wasn't able to deliver your message.\r\n\r\n<ana@example.org>:\r\nSorry, no mailbox here by that name. (#5.1.1)\r\n\r\n--- Below this line is a copy of the message.\r\n\r\nReturn-Path: <help@acme.example>\r\nMessage-ID: <answer@acme>\r\nReferences: <q@x>\r\nFrom: help@acme.example\r\nTo: ana@example.org\r\nSubject: Re: Lamp\r\n\r\nOn its way.\r\n";
    let item = parse(qmail.as_bytes());
    assert_eq!(details(&item).automatic, Some(AutomaticMail::Bounce));
    assert_eq!(details(&item).bounce_of.as_deref(), Some("answer@acme"));
    assert_eq!(details(&item).bounce_status.as_deref(), Some("5.1.1"));
    assert_eq!(item.customer.address.as_deref(), Some("ana@example.org"));
    let question = parse(&simple("Message-ID: <q@x>\r\n", "Where is it?"));
    assert_eq!(item.case_id, question.case_id);
}

#[test]
fn a_report_for_several_recipients_tells_the_failure() {
    let raw = BOUNCE.replace(
        "Action: failed\r\nStatus: 5.1.1\r\n",
        "Action: delivered\r\nStatus: 2.0.0\r\n\r\nFinal-Recipient: rfc822; bo@example.org\r\nAction: failed\r\nStatus: 4.2.2\r\n",
    );
    let item = parse(raw.as_bytes());
    assert_eq!(details(&item).automatic, Some(AutomaticMail::Bounce));
    assert_eq!(details(&item).bounce_status.as_deref(), Some("4.2.2"));
}
