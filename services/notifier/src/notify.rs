//! One record of `items.classified`: a receipt, an alert, both or neither.

use crate::{
    config::{Config, Notifier},
    decide::{self, Acknowledge},
    error::SendError,
    later::{Later, Place},
    ledger::{Ledger, Permit, Purpose, Sent},
    message::{self, Acknowledgement, Outgoing},
    metrics,
    patience::Patience,
    smtp::Mailer,
    template::{self, Templates},
};
use lettre::message::Mailbox;
use outcry_domain::{Brand, CaseId, ClassifiedItem, SCHEMA_VERSION, classification::RECLASSIFIED_HEADER};
use outcry_kafka::{Outcome, Publisher, Record, Topic};
use outcry_runtime::{Component, Context};
use serde::Deserialize;
use std::collections::HashMap;

/// Below this the customer's language counts as unknown.
const CERTAIN: f32 = 0.5;

/// Sends what is due.
pub struct Notify {
    settings: Notifier,
    brands: Vec<Brand>,
    senders: HashMap<String, Mailbox>,
    default_sender: Option<Mailbox>,
    duty: Vec<Mailbox>,
    mailer: Option<Mailer>,
    templates: Templates,
    ledger: Ledger,
    later: Later,
    patience: Patience,
    publisher: Publisher,
    context: Context,
    component: Component,
}

/// Whether the mails behind this one wait for it.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// They do: the record at this place is being handled in its turn.
    InOrder(Place),
    /// They went on.
    Later,
}

/// Enough of a record to see that it is of another version.
#[derive(Deserialize)]
struct Versioned {
    item: Version,
}

#[derive(Deserialize)]
struct Version {
    schema_version: u16,
}

impl Notify {
    /// Parses what the configuration names; sends nothing.
    pub fn new(
        config: Config,
        ledger: Ledger,
        later: Later,
        publisher: Publisher,
        context: &Context,
    ) -> anyhow::Result<Self> {
        let smtp = config.notifier.smtp.as_ref();
        let senders = smtp.into_iter().flat_map(|smtp| &smtp.from_by_brand);
        let duty = config.notifier.alerts.to.iter().map(|address| Ok(address.parse()?));
        let component = context.health.component("smtp");
        component.ready();
        Ok(Self {
            senders: senders.map(|(brand, from)| Ok((brand.clone(), from.parse()?))).collect::<anyhow::Result<_>>()?,
            default_sender: smtp.map(|smtp| smtp.from.parse()).transpose()?,
            duty: duty.collect::<anyhow::Result<_>>()?,
            mailer: smtp.map(Mailer::new).transpose()?,
            templates: Templates::new()?,
            settings: config.notifier,
            brands: config.brands,
            ledger,
            later,
            patience: Patience::default(),
            publisher,
            context: context.clone(),
            component,
        })
    }

    /// Does what is due for a record. May be repeated: what was sent is not sent again.
    pub async fn handle(&self, record: Record) -> Outcome {
        let place = Place { partition: record.partition, offset: record.offset };
        self.handle_at(record, Turn::InOrder(place)).await
    }

    /// The same for a record whose mail was put off: one try, and [`Outcome::Retry`] if it was put off again.
    pub async fn handle_later(&self, record: Record) -> Outcome {
        self.handle_at(record, Turn::Later).await
    }

    /// What waits for a later try.
    pub fn later(&self) -> &Later {
        &self.later
    }

    /// Forgets what was sent so long ago that nothing can ask for it again.
    pub async fn prune(&self) {
        let now = self.context.clock.now();
        match self.ledger.prune(now, self.settings.acknowledgements.max_age()).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, "old entries of what was sent are removed"),
            Err(error) => tracing::warn!(%error, "removing old entries of what was sent failed; trying again later"),
        }
    }

    async fn handle_at(&self, record: Record, turn: Turn) -> Outcome {
        if record.header(RECLASSIFIED_HEADER).is_some() {
            note_withheld("reclassified");
            return Outcome::Skip;
        }
        let Ok(Versioned { item: Version { schema_version } }) = serde_json::from_slice(&record.payload) else {
            return self.pass_over();
        };
        if schema_version != SCHEMA_VERSION {
            return Outcome::Fatal(format!(
                "items.classified holds schema version {schema_version}; upgrade the notifier"
            ));
        }
        let Ok(classified) = serde_json::from_slice::<ClassifiedItem>(&record.payload) else {
            return self.pass_over();
        };
        let alerted = self.alert_if_due(&classified, turn).await;
        match (turn, alerted) {
            (_, Outcome::Done | Outcome::Skip) => self.acknowledge_if_due(&classified, turn).await,
            // Nobody waits: a receipt need not wait for its alert either.
            (Turn::Later, alerted) => {
                let _ = self.acknowledge_if_due(&classified, turn).await;
                alerted
            }
            (Turn::InOrder(_), alerted) => alerted,
        }
    }

    /// The sink puts what cannot be read into dead letters; a second copy would only be counted twice.
    fn pass_over(&self) -> Outcome {
        ::metrics::counter!(metrics::UNREADABLE).increment(1);
        Outcome::Skip
    }

    async fn acknowledge_if_due(&self, classified: &ClassifiedItem, turn: Turn) -> Outcome {
        let settings = &self.settings.acknowledgements;
        let now = self.context.clock.now();
        match decide::acknowledgement(classified, &self.brands, settings, now) {
            Ok(due) => self.acknowledge(classified, due, turn).await,
            Err(withheld) => {
                note_withheld(withheld.metric_label());
                Outcome::Skip
            }
        }
    }

    async fn acknowledge(&self, classified: &ClassifiedItem, due: Acknowledge<'_>, turn: Turn) -> Outcome {
        let item = &classified.item;
        let (Some(mailer), Some(from)) = (&self.mailer, self.sender(&item.brand)) else {
            return Outcome::Fatal("notifier.smtp is missing: receipts cannot be sent".into());
        };
        let limit = self.settings.acknowledgements.max_per_address_per_day;
        let sending = Sent { at: self.context.clock.now(), customer_id: item.customer.customer_id };
        let permit = self.ledger.reserve(Purpose::Receipt, item.case_id, sending, limit);
        let sent = match permit {
            Permit::Send => sending,
            Permit::SentBefore(sent) => sent,
            Permit::BeingSent => return Outcome::Retry("the receipt of this case is being sent".into()),
            Permit::Enough => {
                note_withheld("enough_today");
                return Outcome::Skip;
            }
        };
        let (language, receipt) = match self.words(classified, due.brand) {
            Ok(words) => words,
            Err(error) => return Outcome::Fatal(format!("writing a receipt: {error}")),
        };
        let acknowledgement =
            Acknowledgement { item, mail: due.mail, from, receipt: &receipt, language, sent_at: sent.at };
        if permit == Permit::Send {
            let result = match acknowledgement.write() {
                Ok(mail) => mailer.send(&mail).await,
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                self.ledger.release(Purpose::Receipt, item.case_id, sending);
                return self.not_sent(Purpose::Receipt, item.case_id, &error, turn).await;
            }
            self.patience.forget(Purpose::Receipt, item.case_id);
            self.component.ready();
            // From here to the record below, a crash sends this mail again.
            if let Err(error) = self.ledger.record(Purpose::Receipt, item.case_id, sent).await {
                return Outcome::Fatal(format!("noting that a receipt was sent: {error}"));
            }
            ::metrics::counter!(metrics::ACKNOWLEDGED, "language" => language.to_owned()).increment(1);
        }
        // Published on a repeat as well: the last run may have ended between the record and this.
        let outbound = acknowledgement.to_item();
        match self.publisher.publish_json(Topic::ItemsRaw, &outbound.case_id.to_string(), &outbound).await {
            Ok(_) => Outcome::Done,
            Err(error) => Outcome::Retry(format!("publishing the receipt as an item: {error}")),
        }
    }

    fn words(&self, classified: &ClassifiedItem, brand: &Brand) -> Result<(&str, template::Receipt), minijinja::Error> {
        let settings = &self.settings.acknowledgements;
        let found = &classified.classification.language;
        // Copied out of the brand's own list, so that the language outlives it.
        let language =
            template::choose(&found.label, found.confidence >= CERTAIN, &brand.languages, &settings.languages);
        let language = template::LANGUAGES.iter().find(|known| **known == language).copied().unwrap_or("en");
        let urgency = classified.classification.urgency.label.as_str();
        let minutes = brand
            .targets
            .get(urgency)
            .map_or(settings.respond_within_hours.saturating_mul(60), |target| target.respond_minutes);
        let reference = classified.item.case_id.to_string();
        let reference = reference.split('-').take(2).collect::<Vec<_>>().join("-").to_uppercase();
        Ok((language, self.templates.receipt(language, &brand.name, &reference, minutes)?))
    }

    async fn alert_if_due(&self, classified: &ClassifiedItem, turn: Turn) -> Outcome {
        let (item, now) = (&classified.item, self.context.clock.now());
        let max_age = self.settings.acknowledgements.max_age();
        let (Some(mailer), Some(from)) = (&self.mailer, self.sender(&item.brand)) else { return Outcome::Skip };
        if !decide::alert(classified, &self.settings.alerts, max_age, now) {
            return Outcome::Skip;
        }
        let sending = Sent { at: now, customer_id: item.customer.customer_id };
        match self.ledger.reserve(Purpose::Alert, item.case_id, sending, usize::MAX) {
            Permit::Send => {}
            Permit::BeingSent => return Outcome::Retry("the alert about this case is being sent".into()),
            Permit::SentBefore(_) | Permit::Enough => return Outcome::Skip,
        }
        let evidence = &classified.classification.evidence;
        let mut signals: Vec<String> =
            evidence.iter().filter(|span| span.axis == "urgency").map(|span| span.signal.clone()).collect();
        signals.dedup();
        let category = classified.classification.category.label.as_str();
        let result = self.send_alert(mailer, |to| message::alert(item, category, &signals, from, to)).await;
        if let Err(error) = result {
            self.ledger.release(Purpose::Alert, item.case_id, sending);
            return self.not_sent(Purpose::Alert, item.case_id, &error, turn).await;
        }
        self.patience.forget(Purpose::Alert, item.case_id);
        self.component.ready();
        ::metrics::counter!(metrics::ALERTED).increment(1);
        match self.ledger.record(Purpose::Alert, item.case_id, sending).await {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::Fatal(format!("noting that an alert was sent: {error}")),
        }
    }

    /// To all at once. If the server does not take that, to each alone: one full mailbox must not keep an alert from
    /// everybody. Sent when anybody has it.
    async fn send_alert(
        &self,
        mailer: &Mailer,
        write: impl Fn(&[Mailbox]) -> Result<Outgoing, SendError>,
    ) -> Result<(), SendError> {
        let mut result = mailer.send(&write(&self.duty)?).await;
        if self.duty.len() == 1 || !matches!(result, Err(SendError::PutOff(_) | SendError::Refused(_))) {
            return result;
        }
        for one in &self.duty {
            match mailer.send(&write(std::slice::from_ref(one))?).await {
                Ok(()) => result = Ok(()),
                Err(error) => {
                    ::metrics::counter!(metrics::FAILED, "outcome" => error.metric_label()).increment(1);
                    tracing::error!(%error, "an alert did not reach one of notifier.alerts.to; the others are tried");
                }
            }
        }
        result
    }

    fn sender(&self, brand: &str) -> Option<&Mailbox> {
        self.senders.get(brand).or(self.default_sender.as_ref())
    }

    /// The reservation is released by now: whatever is given up or put off here, the case's next record may try again.
    async fn not_sent(&self, purpose: Purpose, case: CaseId, error: &SendError, turn: Turn) -> Outcome {
        ::metrics::counter!(metrics::FAILED, "outcome" => error.metric_label()).increment(1);
        match error {
            SendError::Deferred(_) => {
                self.component.not_ready(error.to_string());
                return Outcome::Retry(error.to_string());
            }
            SendError::PutOff(_) => {
                // It talks to us.
                self.component.ready();
                let Turn::InOrder(place) = turn else { return Outcome::Retry(error.to_string()) };
                if !self.patience.ends(purpose, case) {
                    return Outcome::Retry(error.to_string());
                }
                let kept = self.later.put(place, purpose, &case.to_string(), self.context.clock.now()).await;
                match kept {
                    Ok(true) => {
                        let purpose = purpose.metric_label();
                        tracing::warn!(case.id = %case, mail.purpose = purpose, %error, "it is tried again later");
                        return Outcome::Done;
                    }
                    Ok(false) => {}
                    Err(error) => return Outcome::Retry(format!("keeping a mail for later: {error}")),
                }
            }
            SendError::Refused(_) | SendError::Unwritable(_) => self.patience.forget(purpose, case),
        }
        let (purpose, reason) = (purpose.metric_label(), error.metric_label());
        ::metrics::counter!(metrics::GIVEN_UP, "purpose" => purpose, "reason" => reason).increment(1);
        tracing::error!(case.id = %case, mail.purpose = purpose, %error, "mail.given_up: write to them by another way");
        Outcome::Done
    }
}

fn note_withheld(reason: &'static str) {
    ::metrics::counter!(metrics::NOT_ACKNOWLEDGED, "reason" => reason).increment(1);
}
