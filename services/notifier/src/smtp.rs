//! The connection to the server that takes our mail.

use crate::{
    config::{Smtp, Tls as Protection},
    error::SendError,
    message::Outgoing,
};
use anyhow::Context as _;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    transport::smtp::{
        Error,
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Hands mails to the configured server, one connection each.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl Mailer {
    /// Reads the certificate if one is named; connects only when something is sent.
    pub fn new(smtp: &Smtp) -> anyhow::Result<Self> {
        let mut parameters = TlsParameters::builder(smtp.host.clone());
        if let Some(file) = &smtp.ca_file {
            let pem =
                std::fs::read(file).with_context(|| format!("reading notifier.smtp.ca_file {}", file.display()))?;
            let certificate = Certificate::from_pem(&pem)
                .with_context(|| format!("notifier.smtp.ca_file {} is not a PEM certificate", file.display()))?;
            parameters = parameters.add_root_certificate(certificate);
        }
        let (port, tls) = match smtp.tls {
            Protection::Implicit => (465, Tls::Wrapper(parameters.build_rustls()?)),
            Protection::Starttls => (587, Tls::Required(parameters.build_rustls()?)),
            Protection::None => (25, Tls::None),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
            .port(smtp.port.unwrap_or(port))
            .timeout(Some(TIMEOUT))
            .tls(tls);
        if let (Some(username), Some(password)) = (&smtp.username, &smtp.password) {
            builder = builder.credentials(Credentials::new(username.clone(), password.expose().to_owned()));
        }
        Ok(Self { transport: builder.build() })
    }

    /// Done when the server has said 250 to the whole mail.
    pub async fn send(&self, mail: &Outgoing) -> Result<(), SendError> {
        let sending = self.transport.send_raw(&mail.envelope, &mail.raw);
        match tokio::time::timeout(TIMEOUT * 2, sending).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(judge(&error)),
            Err(_) => Err(SendError::Deferred("no answer in time".into())),
        }
    }
}

fn judge(error: &Error) -> SendError {
    match error.status() {
        Some(code) => judge_answer(code.into()),
        None if error.is_client() => SendError::Refused("the mail cannot be sent by this server".into()),
        None => SendError::Deferred(error.to_string()),
    }
}

/// An answer speaks of this mail, unless it speaks of us or of the server: credentials and TLS are for a person to repair,
/// a server that is closing (RFC 5321 §3.8) or cannot authenticate now (RFC 4954 §6) takes no other mail either.
fn judge_answer(code: u16) -> SendError {
    match code {
        530 | 534 | 535 | 538 => SendError::Deferred(format!("{code}: our credentials are not accepted")),
        421 | 432 | 454 => SendError::Deferred(format!("answer {code}")),
        // The server's own words may repeat the address.
        400..500 => SendError::PutOff(format!("answer {code}")),
        500..600 => SendError::Refused(format!("answer {code}")),
        _ => SendError::Deferred(format!("answer {code}, which is none of SMTP")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_speaks_of_this_mail_or_of_all_mail() {
        for code in [450, 451, 452] {
            assert!(matches!(judge_answer(code), SendError::PutOff(_)), "{code}");
        }
        for code in [550, 552, 554] {
            assert!(matches!(judge_answer(code), SendError::Refused(_)), "{code}");
        }
        for code in [421, 454, 535, 299] {
            assert!(matches!(judge_answer(code), SendError::Deferred(_)), "{code}");
        }
    }
}
