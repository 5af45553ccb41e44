//! One pass: both listings to their ends, in the order of the conversation.

use super::{
    Connector, LISTINGS, Opened, RECENT_KEY,
    api::Status,
    client::{Page, Seen},
    feed::{Entry, Feed, Listing, Outgoing, Position, SETTLED_AFTER, Tally},
    map::{Sighting, map_status},
    recent::KnownPost,
    thread::{self, Parent, Place},
};
use crate::{error::PassError, metrics};
use outcry_domain::{Channel, Coverage, DeadLetter, Direction, SCHEMA_VERSION, Timestamp};
use outcry_kafka::{PublishError, Topic};
use serde_json::value::RawValue;
use std::time::Duration;
use tokio::time::Instant;

/// How far up a conversation is asked for, one request a post. The root of a longer one is where this ends.
const MAX_LOOKUPS: usize = 200;
/// A listing in which nothing happens still proves so, this often.
const QUIET_COVERAGE: Duration = Duration::from_secs(15 * 60);

impl Connector {
    pub(super) async fn pass(&mut self, opened: &mut Opened) -> Result<(), PassError> {
        let [mentions, replies] = opened.positions.clone();
        let mut feeds = [Feed::new(Listing::Notifications, mentions), Feed::new(Listing::Statuses, replies)];
        let mut read_until = [Timestamp::UNKNOWN; 2];
        let mut produced_any = false;
        loop {
            for (index, feed) in feeds.iter_mut().enumerate() {
                while feed.entries.is_empty() && !feed.exhausted {
                    produced_any |= self.finish_page(opened, index, feed).await?;
                    let now = self.context.clock.now();
                    read_until[index] = now.minus(SETTLED_AFTER);
                    let page = self.next_page(&opened.own_account, feed).await?;
                    feed.take_page(page, &opened.own_account, now);
                }
            }
            let Some(earliest) = earliest(&feeds) else { break };
            if self.context.shutdown.is_cancelled() {
                return Err(PassError::Stopping);
            }
            let feed = &mut feeds[earliest];
            match feed.entries.pop_front() {
                Some(Entry::Post { status, received_at, raw }) => {
                    self.take_post(opened, feed, &status, received_at, &raw).await?;
                }
                Some(Entry::Unreadable { id, reason, raw }) => self.refuse(feed, id, reason, &raw).await?,
                None => {}
            }
        }
        if produced_any {
            opened.checkpoints.save(RECENT_KEY, &opened.recent).await?;
        }
        for (index, until) in read_until.into_iter().enumerate() {
            self.report_coverage(opened, index, until).await?;
        }
        Ok(())
    }

    async fn next_page(&mut self, own_account: &str, feed: &Feed) -> Result<Page, PassError> {
        let (endpoint, query) = match feed.listing {
            Listing::Notifications => ("api/v1/notifications".to_owned(), ("types[]", "mention")),
            Listing::Statuses => (format!("api/v1/accounts/{own_account}/statuses"), ("exclude_reblogs", "true")),
        };
        self.client.page(&endpoint, &[query], &feed.position.min_id, feed.listing.page_limit()).await
    }

    async fn take_post(
        &mut self,
        opened: &mut Opened,
        feed: &mut Feed,
        status: &Status,
        received_at: Timestamp,
        raw: &RawValue,
    ) -> Result<(), PassError> {
        let place = self.find_place(&opened.own_account, status).await?;
        let sighting = Sighting { received_at, now: self.context.clock.now(), raw: raw.get().as_bytes() };
        let item = map_status(&self.reader, status, &place, sighting);
        opened.recent.remember(KnownPost::new(&status.id, &place, &item), self.settings.recheck_posts);
        feed.position.tally.listed += 1;
        feed.outgoing.push(Outgoing { key: item.case_id.to_string(), payload: serde_json::to_vec(&item)? });
        Ok(())
    }

    /// Where a post belongs; asks for what it answers, all the way up, unless that is known. See [`thread`].
    pub(super) async fn find_place(&mut self, own_account: &str, status: &Status) -> Result<Place, PassError> {
        let mut asked: Vec<Status> = Vec::new();
        let mut answers = status.in_reply_to_id.clone();
        let mut unseen = None;
        while let Some(id) = answers.take_if(|id| self.threads.get(id).is_none()) {
            let circular = id == status.id || asked.iter().any(|above| above.id == id);
            let seen =
                if circular || asked.len() >= MAX_LOOKUPS { Seen::Gone } else { self.client.status(&id).await? };
            let Seen::Status(above, _) = seen else {
                unseen = Some(id);
                break;
            };
            ::metrics::counter!(metrics::LOOKUPS, "source" => self.reader.source.clone()).increment(1);
            answers = above.in_reply_to_id.clone();
            asked.push(*above);
        }
        let mut parent = answers.as_deref().and_then(|id| self.threads.get(id)).cloned();
        for post in asked.iter().rev().chain([status]) {
            let above = match (&parent, &unseen) {
                (Some(place), _) => Parent::Known(place),
                (None, Some(id)) => Parent::Unseen(id),
                (None, None) => Parent::None,
            };
            let place = thread::place(&self.base_url, own_account, post, above);
            self.threads.insert(&post.id, place.clone());
            parent = Some(place);
        }
        // The chain above ends with the post itself.
        Ok(parent.unwrap_or_else(|| thread::place(&self.base_url, own_account, status, Parent::None)))
    }

    async fn refuse(&self, feed: &mut Feed, id: String, reason: String, raw: &RawValue) -> Result<(), PassError> {
        feed.position.tally.listed += 1;
        self.dead_letter("undecodable", format!("{} {id:?}: {reason}", feed.listing.name()), raw.get().as_bytes())
            .await?;
        feed.position.tally.note_refused(id);
        Ok(())
    }

    async fn dead_letter(&self, reason: &str, detail: String, payload: &[u8]) -> Result<(), PassError> {
        let now = self.context.clock.now();
        let source = self.reader.source.clone();
        let letter = DeadLetter {
            service: "social-connector".into(),
            reason: reason.into(),
            detail,
            origin: source.clone(),
            partition: -1,
            offset: -1,
            received_at: now,
            refused_at: now,
        };
        self.publisher.dead_letter(&letter, None, payload).await?;
        tracing::warn!(source.name = source, reason, "a post was refused; it is in dead letters");
        ::metrics::counter!(metrics::DEAD_LETTERS, "source" => source).increment(1);
        Ok(())
    }

    /// Waits until the broker has all of the page, then saves the checkpoint: never the other way round.
    async fn finish_page(&self, opened: &mut Opened, index: usize, feed: &mut Feed) -> Result<bool, PassError> {
        let Some(page_end) = feed.page_end.take() else { return Ok(false) };
        let outgoing = std::mem::take(&mut feed.outgoing);
        let mut produced = 0;
        let deliveries = futures::future::join_all(outgoing.into_iter().map(|record| self.deliver(record))).await;
        for delivered in deliveries {
            match delivered? {
                Ok(()) => produced += 1,
                Err(key) => feed.position.tally.note_refused(key),
            }
        }
        feed.position.tally.produced += produced;
        feed.position.min_id = page_end;
        opened.checkpoints.save(feed.listing.name(), &feed.position).await?;
        opened.positions[index] = feed.position.clone();
        let direction = match feed.listing {
            Listing::Notifications => Direction::Inbound,
            Listing::Statuses => Direction::Outbound,
        };
        ::metrics::counter!(metrics::ITEMS, "source" => self.reader.source.clone(), "direction" => direction.as_str())
            .increment(produced);
        Ok(produced > 0)
    }

    /// `Ok(Err(key))`: the record can never be delivered and is in dead letters.
    async fn deliver(&self, record: Outgoing) -> Result<Result<(), String>, PassError> {
        match self.publisher.publish(Topic::ItemsRaw, &record.key, record.payload).await {
            Ok(_) => Ok(Ok(())),
            Err(error @ PublishError::TooLarge { .. }) => {
                self.dead_letter("too_large", error.to_string(), &[]).await?;
                Ok(Err(record.key))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn publish_item(&self, item: &outcry_domain::Item) -> Result<(), PassError> {
        let record = Outgoing { key: item.case_id.to_string(), payload: serde_json::to_vec(item)? };
        self.deliver(record).await.map(drop)
    }

    /// Says what the window since the last report held; of a quiet listing only now and then.
    async fn report_coverage(&self, opened: &mut Opened, index: usize, until: Timestamp) -> Result<(), PassError> {
        let position = &opened.positions[index];
        let tally = position.tally.clone();
        let quiet = tally == Tally::default();
        if quiet && opened.reported_at[index].is_some_and(|reported| reported.elapsed() < QUIET_COVERAGE) {
            return Ok(());
        }
        let missing = tally.listed.saturating_sub(tally.produced);
        let coverage = Coverage {
            schema_version: SCHEMA_VERSION,
            brand: self.reader.brand.clone(),
            channel: Channel::Social,
            source: self.reader.source.clone(),
            scope: LISTINGS[index].name().into(),
            window_start: position.covered_until,
            window_end: until,
            listed: tally.listed,
            produced: tally.produced,
            missing,
            missing_examples: tally.refused,
            note: (missing > 0).then(|| "what is missing was refused and is in dead letters".into()),
            checked_at: self.context.clock.now(),
            unknown_fields: serde_json::Map::new(),
        };
        self.publisher.publish_json(Topic::SourceCoverage, &coverage.source, &coverage).await?;
        let reported = Position { covered_until: until, tally: Tally::default(), min_id: position.min_id.clone() };
        opened.checkpoints.save(LISTINGS[index].name(), &reported).await?;
        opened.positions[index] = reported;
        opened.reported_at[index] = Some(Instant::now());
        Ok(())
    }
}

fn earliest(feeds: &[Feed]) -> Option<usize> {
    let next = |(index, feed): (usize, &Feed)| feed.next_order().map(|order| (order, index));
    feeds.iter().enumerate().filter_map(next).min().map(|(_, index)| index)
}
