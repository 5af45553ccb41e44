//! Through the front doors: IMAP APPEND, signed webhooks, posts on the network.

use crate::sample::{Folder, PostKind, SENT_FOLDER, Sample, SamplePost};
use anyhow::Context as _;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, Mac};
use outcry_runtime::{Clock, SystemClock};
use outcry_sandbox::{Delivery, Dovecot, MastodonServer, NewStatus};
use sha2::Sha256;
use std::collections::{BTreeMap, BTreeSet};

/// Appends every mail to its folder, over IMAP.
pub async fn mails(dovecot: &Dovecot, sample: &Sample) -> anyhow::Result<()> {
    let mut folders: BTreeMap<(&str, &str), Vec<Delivery>> = BTreeMap::new();
    for mail in &sample.mails {
        let folder = match mail.folder {
            Folder::Inbox => "INBOX",
            Folder::Sent => SENT_FOLDER,
        };
        let delivery = Delivery { raw: mail.raw.clone(), internal_date: Some(mail.internal_date.into()) };
        folders.entry((&mail.user, folder)).or_default().push(delivery);
    }
    for ((user, folder), messages) in folders {
        dovecot.append_all(user, folder, &messages).await.with_context(|| format!("appending mail to {folder}"))?;
    }
    Ok(())
}

/// Sends every webhook in order, signed as Standard Webhooks says.
pub async fn calls(url: &str, secret: &str, sample: &Sample) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    let key = BASE64.decode(secret.trim_start_matches("whsec_")).context("decoding the webhook secret")?;
    for webhook in &sample.calls {
        let timestamp = (SystemClock.now().as_millis() / 1000).to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).context("preparing the signature")?;
        for part in [webhook.webhook_id.as_bytes(), b".", timestamp.as_bytes(), b".", &webhook.body] {
            mac.update(part);
        }
        let signature = format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()));
        let response = client
            .post(format!("{url}/hooks/{}", webhook.account))
            .header("content-type", "application/json")
            .header("webhook-id", &webhook.webhook_id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(webhook.body.clone())
            .send()
            .await
            .context("calling the webhook")?;
        let status = response.status();
        // The undecodable one is answered with 400, and kept.
        anyhow::ensure!(
            status.is_success() || status.as_u16() == 400,
            "the phone-connector answered {status} to a webhook"
        );
    }
    Ok(())
}

/// The network, and which post of the sample is which there.
pub struct Posts<'a> {
    server: &'a MastodonServer,
    ids: BTreeMap<String, String>,
}

impl<'a> Posts<'a> {
    /// Nothing posted yet.
    pub fn new(server: &'a MastodonServer) -> Self {
        Self { server, ids: BTreeMap::new() }
    }

    /// Posts, edits or deletes what the filter lets through, oldest first.
    pub fn apply(&mut self, sample: &Sample, wanted: impl Fn(PostKind) -> bool) -> anyhow::Result<()> {
        for post in sample.posts.iter().filter(|post| wanted(post.kind)) {
            self.one(post).with_context(|| format!("posting {}", post.id))?;
        }
        Ok(())
    }

    /// The network's own ids of what was posted.
    pub fn ids(&self) -> BTreeSet<String> {
        self.ids.values().cloned().collect()
    }

    fn one(&mut self, post: &SamplePost) -> anyhow::Result<()> {
        let known = |id: &str| self.ids.get(id).with_context(|| format!("{id} was not posted"));
        match post.kind {
            PostKind::Mention => {
                let mut status = NewStatus::new(&post.author, &post.html, post.created_at.into());
                status.visibility = visibility(&post.visibility);
                status.language = Some(post.language.clone());
                status.in_reply_to = post.in_reply_to.as_deref().map(known).transpose()?.cloned();
                self.ids.insert(post.id.clone(), self.server.add_mention(status));
            }
            PostKind::OwnReply => {
                let answered = post.in_reply_to.as_deref().map(known).transpose()?;
                let id = self.server.add_own(&post.html, post.created_at.into(), answered.map(String::as_str));
                self.ids.insert(post.id.clone(), id);
            }
            PostKind::Edit => self.server.edit(known(&post.id)?, &post.html, post.created_at.into())?,
            PostKind::Delete => self.server.delete(known(&post.id)?)?,
        }
        Ok(())
    }
}

fn visibility(name: &str) -> &'static str {
    ["unlisted", "private", "direct"].into_iter().find(|known| *known == name).unwrap_or("public")
}
