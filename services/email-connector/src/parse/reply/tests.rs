//! One test for each way of quoting that must be told apart, and for each text that must stay.

use super::*;

fn new_text(body: &str) -> String {
    split(body, false).text
}

#[test]
fn attributions_of_nine_languages_are_quotation() {
    for attribution in [
        "On Mon, Mar 2, 2026 at 10:15 AM Acme Support <help@acme.example> wrote:",
        "Am Mo., 2. März 2026 um 10:15 Uhr schrieb Acme <help@acme.example>:",
        "Am 02.03.26 um 10:15 schrieb Acme:",
        "Le lun. 2 mars 2026 à 10:15, Acme <help@acme.example> a écrit :",
        "El lun, 2 mar 2026 a las 10:15, Acme (<help@acme.example>) escribió:",
        "Il giorno lun 2 mar 2026 alle ore 10:15 Acme <help@acme.example> ha scritto:",
        "Em seg., 2 de mar. de 2026 às 10:15, Acme <help@acme.example> escreveu:",
        "Op ma 2 mrt 2026 om 10:15 schreef Acme <help@acme.example>:",
        "2026年3月2日(月) 10:15 Acme <help@acme.example>:",
        "2026/03/02 10:15、Acme <help@acme.example>のメール:",
        "Acme <help@acme.example> 于2026年3月2日周一 10:15写道：",
        "在 2026年3月2日，10:15，Acme <help@acme.example> 写道：",
    ] {
        let body = format!("It broke again.\n\n{attribution}\n\n> Is it solved?\n> Acme\n");
        let found = split(&body, false);
        assert_eq!(found.text, "It broke again.", "{attribution}");
        assert!(found.removed.contains("Is it solved?"), "{attribution}");
        let unmarked = format!("It broke again.\n\n{attribution}\n\nIs it solved?\nAcme\n");
        assert_eq!(new_text(&unmarked), "It broke again.", "{attribution}");
    }
}

#[test]
fn an_attribution_wrapped_over_lines_is_one() {
    let body =
        "Still broken.\n\nOn Mon, Mar 2, 2026 at 10:15 AM Acme Customer Care\n<help@acme.example> wrote:\n> Is it?\n";
    assert_eq!(new_text(body), "Still broken.");
}

#[test]
fn outlook_header_blocks_of_nine_languages_are_quotation() {
    for (from, sent, to, subject) in [
        ("From", "Sent", "To", "Subject"),
        ("Von", "Gesendet", "An", "Betreff"),
        ("De", "Envoyé", "À", "Objet"),
        ("De", "Enviado el", "Para", "Asunto"),
        ("Da", "Inviato", "A", "Oggetto"),
        ("De", "Enviada em", "Para", "Assunto"),
        ("Van", "Verzonden", "Aan", "Onderwerp"),
        ("差出人", "送信日時", "宛先", "件名"),
        ("发件人", "发送时间", "收件人", "主题"),
    ] {
        let body = format!(
            "Money back, please.\n\n________________________________\n{from}: Acme <help@acme.example>\n{sent}: 2026-03-02 10:15\n{to}: Ana\n{subject}: Your order\n\nWe shipped it.\n"
        );
        let found = split(&body, false);
        assert_eq!(found.text, "Money back, please.", "{from}");
        assert!(found.removed.starts_with("____"), "{from}");
        let bold = format!(
            "Money back.\n\n*{from}:* Acme\n*{sent}:* 2026\n*{to}:* Ana\n*{subject}:* Order\n\nWe shipped it.\n"
        );
        assert_eq!(new_text(&bold), "Money back.", "{from}");
    }
}

#[test]
fn original_message_lines_are_quotation() {
    for line in [
        "-----Original Message-----",
        "-----Ursprüngliche Nachricht-----",
        "-----Message d'origine-----",
        "-----Mensaje original-----",
        "-----Messaggio originale-----",
        "-----Mensagem original-----",
        "-----Oorspronkelijk bericht-----",
        "------------------ 原始邮件 ------------------",
        "-----元のメッセージ-----",
    ] {
        assert_eq!(new_text(&format!("No.\n\n{line}\nFrom: a\n\nold\n")), "No.", "{line}");
    }
}

#[test]
fn an_answer_between_quoted_lines_is_not_lost() {
    let body = "On 2 Mar 2026 Acme <help@acme.example> wrote:\n> Did the parcel come?\nNo, never.\n> Do you want a refund?\nYes, all of it.\n";
    let found = split(body, false);
    assert_eq!(found.text, "No, never.\nYes, all of it.");
    assert!(found.removed.contains("refund?"));
}

#[test]
fn an_answer_below_the_quotation_is_not_lost() {
    let body = "Am 02.03.2026 um 10:15 schrieb Acme:\n> Kam das Paket an?\n\nNein, es ist verloren.\n";
    assert_eq!(new_text(body), "Nein, es ist verloren.");
}

#[test]
fn a_mail_of_quotation_alone_is_kept_whole() {
    let found = split("> everything is quoted\n> here\n", false);
    assert_eq!(found.text, "> everything is quoted\n> here");
    assert!(found.removed.is_empty());
}

#[test]
fn signatures_go_and_stay_beside_the_text() {
    let found = split("The lamp is broken.\n\n-- \nAna Example\nExample Street 1\n", false);
    assert_eq!(found.text, "The lamp is broken.");
    assert!(found.removed.contains("Example Street 1"));
    assert_eq!(new_text("a\n--\nb\n\n> quoted\n"), "a");
}

#[test]
fn a_rule_with_a_page_below_is_not_a_signature() {
    let body = format!("Part one\n--\n{}", "a line of the complaint\n".repeat(40));
    assert!(new_text(&body).contains("a line of the complaint"));
}

#[test]
fn what_telephones_add_goes() {
    for signature in [
        "Sent from my iPhone",
        "Von meinem iPhone gesendet",
        "Envoyé de mon iPhone",
        "Enviado desde mi iPhone",
        "Inviato da iPhone",
        "Enviado do meu iPhone",
        "Verstuurd vanaf mijn iPhone",
        "iPhoneから送信",
        "发自我的iPhone",
        "Get Outlook for iOS<https://aka.ms/o0ukef>",
    ] {
        assert_eq!(new_text(&format!("It never came.\n\n{signature}\n")), "It never came.", "{signature}");
    }
}

#[test]
fn a_sentence_about_a_phone_stays() {
    let body = "Sent from my house on Monday, the parcel came back broken.\nI want my money back.\n";
    assert_eq!(new_text(body).lines().count(), 2);
}

#[test]
fn legal_notices_are_not_content() {
    for notice in [
        "This email and any attachments are confidential and intended solely for the addressee.",
        "Diese E-Mail enthält vertrauliche Informationen. Wenn Sie nicht der richtige Empfänger sind, vernichten Sie sie.",
        "Ce message et toutes les pièces jointes sont confidentiels et destinés à leurs destinataires.",
        "Este mensaje y sus adjuntos son confidenciales y van dirigidos a su destinatario.",
        "Questo messaggio e gli allegati sono riservati ai destinatari.",
        "本邮件及其附件含有保密信息。",
    ] {
        let found = split(&format!("The heater leaks.\n\n{notice}\n"), false);
        assert_eq!(found.text, "The heater leaks.", "{notice}");
        assert!(found.removed.contains(notice), "{notice}");
    }
}

#[test]
fn a_complaint_that_begins_like_a_notice_stays() {
    let body = "Hello\n\nThis message is intended for whoever is responsible.\n\nPS bye";
    assert!(new_text("This email is confidential to whom? You sent my invoice to a stranger.").contains("stranger"));
    assert!(new_text(body).starts_with("Hello"));
}

#[test]
fn addresses_in_angle_brackets_and_arrows_are_not_touched() {
    let body = "Write to me at <ana@example.org>.\nPrice went 10 -> 20, i.e. a > b.\nOn the label it says: fragile\n";
    assert_eq!(new_text(body), body.trim_end());
}

#[test]
fn a_sentence_that_ends_in_wrote_is_not_an_attribution() {
    let body = "I complained twice, and this is what your colleague wrote:\nwe do not care\n";
    assert_eq!(new_text(body), body.trim_end());
}

#[test]
fn a_forwarded_mail_is_content_and_its_author_is_found() {
    let body = "FYI, please handle.\n\n---------- Forwarded message ---------\nFrom: Ana Example <ana@example.org>\nDate: Mon, 2 Mar 2026\nSubject: Broken\nTo: <bo@acme.example>\n\nThe lamp is broken.\n";
    let found = split(body, false);
    assert!(found.text.contains("The lamp is broken."));
    let at = found.forward_at.unwrap();
    assert_eq!(forwarded_author(body, at).as_deref(), Some("Ana Example <ana@example.org>"));
}

#[test]
fn a_forward_by_outlook_without_a_word_of_its_own_is_content() {
    let body = "Von: Ana <ana@example.org>\nGesendet: Montag\nAn: Bo\nBetreff: Lampe\n\nDie Lampe ist kaputt.\n";
    assert!(new_text(body).contains("Die Lampe ist kaputt."));
}

#[test]
fn a_list_of_labels_in_a_complaint_is_not_a_header_block() {
    let body = "Order details\nFrom: shop in Rome\nColour: red\nSize: 40\n\nIt does not fit.\n";
    assert!(new_text(body).contains("It does not fit."));
}

#[test]
fn hostile_texts_are_split_in_linear_time() {
    for line in ["On ", "> ", "--\n-- ", "From: a\n", "On 1 wrote\n", "<a@b>\n", ":\n"] {
        let body = line.repeat(200_000 / line.len());
        let start = std::time::Instant::now();
        split(&body, false);
        assert!(start.elapsed() < std::time::Duration::from_secs(10), "{line:?}");
    }
}

#[test]
fn an_attribution_with_the_date_behind_the_verb_is_one() {
    for attribution in [
        "Acme <help@acme.example> schrieb am Mo., 2. März 2026, 10:15:",
        "Acme <help@acme.example> schreef op ma 2 mrt 2026 om 10:15:",
        "Acme Support <help@acme.example> escribió el 02/03/2026 10:15:",
        "Quoting Acme <help@acme.example>:",
        "Zitat von Acme <help@acme.example>:",
    ] {
        assert_eq!(new_text(&format!("No.\n\n{attribution}\n\n> old\n")), "No.", "{attribution}");
        assert_eq!(new_text(&format!("No.\n\n{attribution}\n\nold\n")), "No.", "{attribution}");
    }
    let complaint = "I am angry.\nYour colleague wrote on 12 March 2026:\nthe lamp will be replaced\nIt was not.\n";
    assert_eq!(new_text(complaint), complaint.trim_end());
}

#[test]
fn an_unmarked_quotation_with_marks_further_down_is_quotation() {
    let body = "It came broken.\n\nOn Monday, March 2, 2026 at 10:15 AM, Acme <help@acme.example> wrote:\n\nIs it there?\n\nOn Sunday, March 1, 2026 at 9:00 AM, Ana <ana@example.org> wrote:\n> Where is it?\n";
    assert_eq!(new_text(body), "It came broken.");
}

#[test]
fn a_header_block_that_begins_with_the_date_is_quotation() {
    let body = "No.\n\nDate: Mon, 2 Mar 2026 10:15:00 +0100\nFrom: help@acme.example\nTo: ana@example.org\nSubject: Lamp\n\nold\n";
    assert_eq!(new_text(body), "No.");
    let order = "Order\nDate: 2 March\nTo: my house\nSubject: lamp\nIt is broken.\n";
    assert_eq!(new_text(order), order.trim_end());
}

#[test]
fn answers_within_an_unmarked_quotation_are_kept() {
    let body = "Please see my answers below in red.\n\nFrom: Acme <help@acme.example>\nSent: Monday\nTo: Ana\nSubject: Lamp\n\nDid it come?\nNo, never.\n";
    assert!(new_text(body).contains("No, never."));
}

#[test]
fn what_is_forwarded_with_marks_is_content() {
    let body = "Please handle.\n\nBegin forwarded message:\n\n> From: Ana <ana@example.org>\n> Subject: Lamp\n> Date: 2 March 2026 at 10:15\n> To: bo@acme.example\n>\n> The lamp is broken.\n>> older\n";
    let found = split(body, false);
    assert!(found.text.contains("The lamp is broken.") && !found.text.contains("older"), "{}", found.text);
    assert_eq!(forwarded_author(body, found.forward_at.unwrap()).as_deref(), Some("Ana <ana@example.org>"));
}

#[test]
fn a_note_above_a_header_block_forwards_it_when_the_subject_says_so() {
    let body = "FYI\n\nVon: Ana <ana@example.org>\nGesendet: Montag\nAn: Bo\nBetreff: Lampe\n\nDie Lampe ist kaputt.\n";
    assert_eq!(new_text(body), "FYI");
    assert!(split(body, true).text.contains("Die Lampe ist kaputt."));
    for subject in
        ["Fwd: Lamp", "FW: Lamp", "WG: Lampe", "TR : Lampe", "RV: Lámpara", "I: Lampada", "ENC: Lâmpada", "转发：灯"]
    {
        assert!(is_forward_subject(subject), "{subject}");
    }
    for subject in ["Lamp", "Re: Fwd", "Forward march", "Trouble: lamp", "I want: a lamp"] {
        assert!(!is_forward_subject(subject), "{subject}");
    }
}

#[test]
fn a_name_and_a_verb_right_above_marks_go_with_them() {
    assert_eq!(new_text("\"Bo B.\" wrote:\n> old\n\nNo.\n"), "No.");
    assert_eq!(new_text("Bo said:\n\n> old\nNo.\n"), "No.");
    assert_eq!(new_text("Your colleague said:\nwe do not care\n"), "Your colleague said:\nwe do not care");
}

#[test]
fn the_ends_of_broken_quoted_lines_are_quotation() {
    let full = "> The parcel was handed over to the carrier on Monday and will reach your";
    assert_eq!(new_text(&format!("No.\n\n{full}\nhouse soon\n> on Friday.\n")), "No.");
    assert_eq!(new_text(&format!("{full} house?\nNo.\n> Next question\n")), "No.");
}

#[test]
fn what_lists_and_web_mail_add_below_a_line_goes() {
    let rule = "_".repeat(47);
    let body = format!("It leaks.\n\n{rule}\nResidents mailing list\nhttps://lists.example.org/residents\n");
    assert_eq!(new_text(&body), "It leaks.");
    let form = format!("Name\n{rule}\nAna\nIt leaks.\n");
    assert!(new_text(&form).contains("It leaks."));
}
