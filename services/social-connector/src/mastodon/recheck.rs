//! Recent posts, asked for again: edits become new versions, what is gone becomes a deletion.
//!
//! A deletion is final: it blanks the text, and nothing takes it back. So it is believed only when the API itself says so,
//! in two rounds apart in time, and the server still knows the token's account.

use super::{
    Connector, Opened, RECENT_KEY,
    client::Seen,
    map::{Sighting, map_deletion, map_status},
    recent::KnownPost,
};
use crate::error::PassError;
use std::time::Duration;

/// What one round over a few posts has done.
#[derive(Default)]
struct Round {
    /// The list is to be saved.
    changed: bool,
    /// The server still knows who we are: asked once, before the first deletion.
    verified: bool,
}

impl Connector {
    pub(super) async fn recheck(&mut self, opened: &mut Opened) -> Result<(), PassError> {
        let mut round = Round::default();
        let mut result = Ok(());
        for _ in 0..self.settings.recheck_batch.min(opened.recent.len()) {
            let Some(known) = opened.recent.next().cloned() else { break };
            result = self.recheck_post(opened, &known, &mut round).await;
            if result.is_err() {
                break;
            }
        }
        if round.changed {
            opened.checkpoints.save(RECENT_KEY, &opened.recent).await?;
        }
        result
    }

    async fn recheck_post(
        &mut self,
        opened: &mut Opened,
        known: &KnownPost,
        round: &mut Round,
    ) -> Result<(), PassError> {
        let seen = self.client.status(&known.id).await?;
        let now = self.context.clock.now();
        match seen {
            Seen::Gone => {
                let apart = self.settings.recheck_interval().unwrap_or(Duration::ZERO);
                round.changed = true;
                if !opened.recent.missed(&known.id, now, apart) {
                    opened.recent.to_the_end();
                    return Ok(());
                }
                if !round.verified {
                    self.client.verify_credentials().await?;
                    round.verified = true;
                }
                self.publish_item(&map_deletion(&self.reader, known, now)).await?;
                opened.recent.forget(&known.id);
            }
            Seen::Status(status, raw) if status.version_time() > known.version => {
                let place = self.find_place(&opened.own_account, &status).await?;
                let item = map_status(&self.reader, &status, &place, Sighting { received_at: now, now, raw: &raw });
                self.publish_item(&item).await?;
                opened.recent.remember(KnownPost::new(&status.id, &place, &item), self.settings.recheck_posts);
                round.changed = true;
            }
            Seen::Status(..) => {
                round.changed |= opened.recent.seen(&known.id);
                opened.recent.to_the_end();
            }
            Seen::Unreadable => opened.recent.to_the_end(),
        }
        Ok(())
    }
}
