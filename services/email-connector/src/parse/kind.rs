//! What sort of mail it is: a person, an automatic answer, a delivery report, a receipt, a list, a bulk mailing.
//!
//! What is found here suppresses our acknowledgement and keeps the mail out of response times. It never suppresses the
//! mail: a complaint that came through a list is a complaint.

use super::{address::Mailbox, header::Fields};
use outcry_domain::channel::AutomaticMail;

/// What the header and the report parts tell.
#[derive(Debug, Default)]
pub(super) struct Kind {
    pub automatic: Option<AutomaticMail>,
    pub list_id: Option<String>,
    pub bulk: bool,
}

/// What the body's structure tells, found while walking it.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// A `message/delivery-status` part, or `multipart/report; report-type=delivery-status`.
    pub delivery: bool,
    /// `Action` of the delivery report: `failed`, `delayed`, `delivered`, `relayed`, `expanded`.
    pub action: Option<String>,
    /// A `message/disposition-notification` part.
    pub disposition: bool,
    /// A `message/feedback-report` part: someone called our mail spam.
    pub feedback: bool,
}

impl Reports {
    /// `true` if the mail is a report of any sort.
    pub fn any(&self) -> bool {
        self.delivery || self.disposition || self.feedback
    }
}

/// Subjects that software writes for someone who is away, lower case, at the start of the subject.
const AWAY_SUBJECTS: &[&str] = &[
    // English
    "out of office",
    "out of the office",
    "automatic reply",
    "auto reply",
    "auto-reply",
    "autoreply",
    "auto response",
    "auto-response",
    "autoresponse",
    "automated response",
    "automated reply",
    "automatic response",
    "away from my mail",
    "vacation reply",
    "on vacation",
    // German
    "automatische antwort",
    "abwesenheitsnotiz",
    "abwesenheitsbenachrichtigung",
    "abwesenheitsassistent",
    "abwesenheitsmeldung",
    "abwesend:",
    "automatische rückmeldung",
    // French
    "réponse automatique",
    "absence du bureau",
    "absent du bureau",
    "message d'absence",
    "notification d'absence",
    "reponse automatique",
    // Spanish
    "respuesta automática",
    "respuesta automatica",
    "fuera de la oficina",
    "fuera de oficina",
    "ausente de la oficina",
    // Italian
    "risposta automatica",
    "fuori sede",
    "fuori ufficio",
    "assente dall'ufficio",
    "assenza dall'ufficio",
    // Portuguese
    "resposta automática",
    "resposta automatica",
    "fora do escritório",
    "ausência temporária",
    "ausente do escritório",
    // Dutch
    "automatisch antwoord",
    "afwezigheidsbericht",
    "niet aanwezig",
    "afwezig:",
    "automatische beantwoording",
    // Polish
    "odpowiedź automatyczna",
    "automatyczna odpowiedź",
    "nieobecność w biurze",
    // Swedish, Danish, Norwegian
    "autosvar",
    "automatiskt svar",
    "automatisk svar",
    "frånvaromeddelande",
    "ikke til stede",
    // Japanese
    "自動返信",
    "自動応答",
    "不在通知",
    "【自動返信】",
    "不在のお知らせ",
    // Chinese
    "自动回复",
    "自動回覆",
    "自动答复",
    "自動答覆",
    "外出自动回复",
    // Russian, Korean, Turkish, Czech
    "автоматический ответ",
    "автоответ",
    "자동 회신",
    "부재중",
    "otomatik yanıt",
    "automatická odpověď",
];

/// Local parts under which machines write, compared without dots, hyphens and underscores.
const MACHINE_SENDERS: &[&str] = &[
    "noreply",
    "donotreply",
    "dontreply",
    "noreplies",
    "nepasrepondre",
    "pasdereponse",
    "noresponder",
    "norisponda",
    "nonrispondere",
    "naoresponda",
    "nichtantworten",
    "keineantwort",
    "nietbeantwoorden",
    "neodpovidat",
    "notification",
    "notifications",
    "mailer",
    "automailer",
    "bounce",
    "bounces",
    "alerts",
    "autoreply",
    "autoresponder",
];

/// Local parts that return mail.
const RETURNING_SENDERS: &[&str] = &["mailerdaemon", "postmaster", "maildaemon", "mdaemon", "maildeliverysubsystem"];

/// Subjects of returned mail, lower case, anywhere in the subject.
const RETURNED_SUBJECTS: &[&str] = &[
    "undelivered mail",
    "undeliverable",
    "undeliverd",
    "delivery status notification",
    "delivery failure",
    "delivery notification",
    "mail delivery failed",
    "mail delivery subsystem",
    "returned mail",
    "failure notice",
    "delivery has failed",
    "message not delivered",
    "unzustellbar",
    "nicht zugestellt",
    "nicht zustellbar",
    "non remis",
    "non remise",
    "échec de la remise",
    "no se puede entregar",
    "no entregado",
    "mancato recapito",
    "impossibile recapitare",
    "não entregue",
    "falha na entrega",
    "niet bezorgd",
    "onbestelbaar",
    "配信不能",
    "配信できません",
    "退信",
    "系统退信",
    "无法投递",
    "nie dostarczono",
    "could not be delivered",
    "mail system error",
    "warning: could not send message",
];

/// Decides from the header and what the body's walk found.
pub(super) fn kind(fields: &Fields<'_>, from: Option<&Mailbox>, subject: &str, reports: &Reports) -> Kind {
    let precedence = fields.keyword("Precedence").unwrap_or_default();
    let list_id = list_id(fields);
    let bulk = matches!(precedence.as_str(), "bulk" | "list" | "junk")
        || fields.first("List-Unsubscribe").is_some()
        || list_id.is_some();
    Kind { automatic: automatic(fields, from, subject, reports, &precedence), list_id, bulk }
}

fn automatic(
    fields: &Fields<'_>,
    from: Option<&Mailbox>,
    subject: &str,
    reports: &Reports,
    precedence: &str,
) -> Option<AutomaticMail> {
    if reports.disposition {
        return Some(AutomaticMail::ReadReceipt);
    }
    let sender = from.map(|from| bare_local_part(&from.address)).unwrap_or_default();
    let subject = subject.to_lowercase();
    if is_returned(fields, &sender, &subject, reports) {
        // A delay or a success is news of a delivery, not its failure (RFC 3464, 2.3.3).
        let failed = !matches!(reports.action.as_deref(), Some("delayed" | "delivered" | "relayed" | "expanded"));
        return Some(if failed { AutomaticMail::Bounce } else { AutomaticMail::Notification });
    }
    let submitted = fields.keyword("Auto-Submitted").or_else(|| fields.keyword("X-Auto-Submitted")).unwrap_or_default();
    let away = is_away_subject(&subject);
    if submitted.starts_with("auto-replied")
        || matches!(precedence, "auto_reply" | "auto-reply")
        || fields.keyword("Preference").is_some_and(|preference| preference == "auto_reply")
        || away
        || [
            "X-Autoreply",
            "X-Autorespond",
            "X-Autoresponder",
            "X-Autoreply-From",
            "X-Mail-Autoreply",
            "X-Auto-Reply-From",
            "X-Autogenerated",
            "X-Vacation",
            "X-Amazon-Auto-Reply",
        ]
        .iter()
        .any(|name| fields.keyword(name).is_some_and(|value| value != "no"))
    {
        return Some(AutomaticMail::AutoReply);
    }
    if reports.feedback
        || fields.first("X-Cron-Env").is_some()
        || submitted.starts_with("auto-")
        || is_machine_sender(&sender)
    {
        return Some(AutomaticMail::Notification);
    }
    None
}

fn is_away_subject(lower_subject: &str) -> bool {
    let mut start = lower_subject.trim_start().trim_start_matches(['[', '(', '*', '"']);
    for prefix in ["re:", "aw:", "sv:", "auto]", "auto:"] {
        start = start.strip_prefix(prefix).unwrap_or(start).trim_start();
    }
    AWAY_SUBJECTS.iter().any(|away| start.starts_with(away))
}

fn is_returned(fields: &Fields<'_>, sender: &str, lower_subject: &str, reports: &Reports) -> bool {
    if reports.delivery || fields.first("X-Failed-Recipients").is_some() {
        return true;
    }
    let from_daemon = RETURNING_SENDERS.iter().any(|name| sender.starts_with(name));
    let returned_subject = RETURNED_SUBJECTS.iter().any(|phrase| lower_subject.contains(phrase));
    let null_sender = fields.first("Return-Path").is_some_and(|path| path.trim_ascii() == b"<>");
    // A person may write about undelivered mail, and automatic answers have the null sender too: it takes two signs.
    (from_daemon && (returned_subject || null_sender || sender.starts_with("mailerdaemon")))
        || (null_sender && returned_subject)
}

fn bare_local_part(address: &str) -> String {
    let local = address.rsplit_once('@').map_or(address, |(local, _)| local);
    local.chars().filter(|c| !matches!(c, '-' | '_' | '.')).collect()
}

fn is_machine_sender(bare: &str) -> bool {
    MACHINE_SENDERS.contains(&bare)
        || ["noreply", "donotreply", "nepasrepondre"].iter().any(|name| bare.starts_with(name) || bare.ends_with(name))
}

fn list_id(fields: &Fields<'_>) -> Option<String> {
    let told = fields.text("List-Id").or_else(|| fields.text("X-Mailing-List"))?;
    let inner =
        told.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(inner, _)| inner.trim().to_owned());
    inner.filter(|inner| !inner.is_empty()).or(Some(told)).map(|id| id.chars().take(255).collect())
}
