//! From fetched bytes to records that the broker has.

use crate::{
    CONNECTOR,
    checkpoint::Reread,
    folder::Mailbox,
    imap::{Fetched, Listed},
    metrics,
    parse::{FolderKind, ParseContext, parse_mail},
};
use futures::future::try_join_all;
use outcry_domain::{ContactId, DeadLetter, Item, Timestamp};
use outcry_kafka::{PublishError, Publisher, Topic};
use outcry_runtime::Context;
use std::sync::Arc;

/// Text that is kept of a mail whose record would be larger than any may be.
const SHORT_TEXT_CHARS: usize = 64 * 1024;

/// Hands the mails of one folder on.
#[derive(Clone)]
pub(crate) struct Producer {
    publisher: Publisher,
    mailbox: Arc<Mailbox>,
    folder: String,
    kind: FolderKind,
    context: Context,
    /// Everything is read as the past that it is.
    past: bool,
}

/// A mail with what the server said of it.
pub(crate) struct Arrived {
    pub listed: Listed,
    pub fetched: Fetched,
    /// The bytes are only its beginning, for this reason.
    pub cut: Option<&'static str>,
    /// Its header alone was handed on before, as this contact.
    pub known_as: Option<ContactId>,
}

impl Producer {
    pub fn new(
        publisher: Publisher,
        mailbox: Arc<Mailbox>,
        folder: String,
        kind: FolderKind,
        context: Context,
    ) -> Self {
        Self { publisher, mailbox, folder, kind, context, past: false }
    }

    /// For a backfill: no acknowledgement and no alert comes of what is handed on.
    pub fn of_the_past(self) -> Self {
        Self { past: true, ..self }
    }

    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    pub fn now(&self) -> Timestamp {
        self.context.clock.now()
    }

    /// Parses and publishes; returns the contacts when the broker has all of them.
    pub async fn produce(
        &self,
        uidvalidity: u32,
        reread: Option<Reread>,
        arrived: Vec<Arrived>,
    ) -> Result<Vec<ContactId>, PublishError> {
        let (producer, now) = (self.clone(), self.now());
        let parse = move || -> Vec<(Item, Option<&'static str>)> {
            arrived.iter().map(|mail| (producer.item(uidvalidity, reread, mail, now), mail.cut)).collect()
        };
        // Parsing 25 MB takes a tenth of a second that other folders should not wait for.
        let items = tokio::task::spawn_blocking(parse)
            .await
            .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        let contacts = items.iter().map(|(item, _)| item.contact_id).collect();
        try_join_all(items.into_iter().map(|(item, cut)| self.publish(item, cut))).await?;
        Ok(contacts)
    }

    fn item(&self, uidvalidity: u32, reread: Option<Reread>, mail: &Arrived, now: Timestamp) -> Item {
        let reread = reread.filter(|reread| reread.concerns(mail.listed.uid, mail.listed.internal_date));
        let mut context = ParseContext {
            brand: &self.mailbox.brand,
            source: &self.mailbox.source,
            folder: self.kind,
            location: Some(format!("{};UIDVALIDITY={uidvalidity};UID={}", self.folder, mail.listed.uid)),
            internal_date: mail.listed.internal_date,
            now,
            key: &self.mailbox.key,
            backfill: self.past || reread.is_some(),
            connector: CONNECTOR,
            whole_size: None,
        };
        let raw = mail.fetched.bytes().unwrap_or_default();
        // RFC822.SIZE may be less than what came.
        context.whole_size = mail.cut.map(|_| u64::from(mail.listed.size).max(raw.len() as u64));
        let mut item = parse_mail(raw, &context);
        if !self.past && reread.is_some_and(|reread| reread.is_news(item.occurred_at, item.received_at)) {
            context.backfill = false;
            item = parse_mail(raw, &context);
        }
        if let Some(contact) = mail.known_as {
            (item.contact_id, item.revision) = (contact, 1);
        }
        item
    }

    async fn publish(&self, mut item: Item, cut: Option<&'static str>) -> Result<(), PublishError> {
        let labels = [
            ("source", self.mailbox.source.clone()),
            ("folder", self.folder.clone()),
            ("direction", item.direction.as_str().to_owned()),
        ];
        if let Some(reason) = cut {
            let location = item.origin.location.clone().unwrap_or_default();
            let detail = format!("{location}: {} bytes; the item holds its beginning", item.origin.raw_size);
            self.dead_letter(reason, &detail, item.received_at).await?;
        }
        let key = item.case_id.to_string();
        match self.publisher.publish_json(Topic::ItemsRaw, &key, &item).await {
            Err(PublishError::TooLarge { bytes, .. }) => {
                let location = item.origin.location.clone().unwrap_or_default();
                self.dead_letter(
                    "too_large",
                    &format!("{location}: an item of {bytes} bytes was shortened"),
                    item.received_at,
                )
                .await?;
                shorten(&mut item);
                self.publisher.publish_json(Topic::ItemsRaw, &key, &item).await?;
            }
            other => {
                other?;
            }
        }
        ::metrics::counter!(metrics::ITEMS, &labels).increment(1);
        Ok(())
    }

    /// Says of a mail that it, or a part of it, was not stored. The mail itself stays where it is.
    pub async fn dead_letter(
        &self,
        reason: &'static str,
        detail: &str,
        received_at: Timestamp,
    ) -> Result<(), PublishError> {
        let letter = DeadLetter {
            service: "email-connector".into(),
            reason: reason.into(),
            detail: detail.to_owned(),
            origin: self.mailbox.source.clone(),
            partition: -1,
            offset: -1,
            received_at,
            refused_at: self.now(),
        };
        self.publisher.dead_letter(&letter, None, b"").await?;
        let labels =
            [("source", self.mailbox.source.clone()), ("folder", self.folder.clone()), ("reason", reason.to_owned())];
        ::metrics::counter!(metrics::DEAD_LETTERS, &labels).increment(1);
        Ok(())
    }
}

fn shorten(item: &mut Item) {
    for text in [&mut item.text, &mut item.quoted_text] {
        if let Some((end, _)) = text.char_indices().nth(SHORT_TEXT_CHARS) {
            text.truncate(end);
        }
    }
    if let Some(mail) = &mut item.mail {
        mail.attachments.truncate(20);
        mail.to.truncate(20);
        mail.cc.truncate(20);
        mail.reply_to.truncate(20);
    }
    item.origin.truncated = true;
}
