//! What can go wrong while sending.

/// A mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It cannot be written as a mail.
    #[error("writing the mail: {0}")]
    Unwritable(String),
    /// The mail server refuses this mail for good; sending it again is no use.
    #[error("the mail server refused it: {0}")]
    Refused(String),
    /// Not this mail, not now: a 4xx answer, as to a full mailbox or from a greylist. Other mails may pass.
    #[error("the mail server puts it off: {0}")]
    PutOff(String),
    /// Nothing now: no connection, a time-out, 421 or 454, or credentials that are not accepted.
    #[error("the mail server does not take mail now: {0}; check notifier.smtp if this lasts")]
    Deferred(String),
}

impl SendError {
    /// Low-cardinality name for metrics.
    pub fn metric_label(&self) -> &'static str {
        match self {
            Self::Unwritable(_) => "unwritable",
            Self::Refused(_) => "refused",
            Self::PutOff(_) => "put_off",
            Self::Deferred(_) => "deferred",
        }
    }
}
