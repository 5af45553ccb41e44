//! Recent posts, asked for again: edits become new versions, what is gone becomes a deletion.

use super::{
    Connector, Opened, RECENT_KEY,
    client::Seen,
    map::{Sighting, map_deletion, map_status},
    recent::KnownPost,
};
use crate::error::PassError;

impl Connector {
    pub(super) async fn recheck(&mut self, opened: &mut Opened) -> Result<(), PassError> {
        let mut changed = false;
        for _ in 0..self.settings.recheck_batch.min(opened.recent.len()) {
            let Some(known) = opened.recent.next().cloned() else { break };
            changed |= self.recheck_post(opened, &known).await?;
        }
        if changed {
            opened.checkpoints.save(RECENT_KEY, &opened.recent).await?;
        }
        Ok(())
    }

    async fn recheck_post(&mut self, opened: &mut Opened, known: &KnownPost) -> Result<bool, PassError> {
        let seen = self.client.status(&known.id).await?;
        let now = self.context.clock.now();
        match seen {
            Seen::Gone => {
                self.publish_item(&map_deletion(&self.reader, known, now)).await?;
                opened.recent.forget(&known.id);
                Ok(true)
            }
            Seen::Status(status, raw) if status.version_time() > known.version => {
                let place = self.find_place(&opened.own_account, &status).await?;
                let item = map_status(&self.reader, &status, &place, Sighting { received_at: now, now, raw: &raw });
                self.publish_item(&item).await?;
                opened.recent.remember(KnownPost::new(&status.id, &place, &item), self.settings.recheck_posts);
                Ok(true)
            }
            Seen::Status(..) | Seen::Unreadable => {
                opened.recent.to_the_end();
                Ok(false)
            }
        }
    }
}
