//! The live feed: the last items classified, and each new one to whoever watches.
//!
//! A watcher that is too slow misses items rather than slowing anyone down: the feed is for looking, reports are for counting.
//! What it shows holds no address: addresses of people are not in an entry, and those inside words are masked.

use outcry_domain::{ClassifiedItem, Direction};
use serde::Serialize;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::broadcast;

/// How many a page shows.
pub const SHOWN: usize = 100;
/// How far a watcher may fall behind.
const BEHIND: usize = 256;
const MAX_CHARS: usize = 280;

/// One line of the feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When, in UTC.
    pub at: String,
    /// Brand id.
    pub brand: String,
    /// Channel.
    pub channel: &'static str,
    /// Direction.
    pub direction: &'static str,
    /// What the person wants.
    pub kind: &'static str,
    /// What it is about.
    pub category: &'static str,
    /// How fast someone must look.
    pub urgency: &'static str,
    /// Subject and first words, masked.
    pub text: String,
    /// The case.
    pub case_id: String,
}

impl Entry {
    /// What the feed shows of an item.
    pub fn new(classified: &ClassifiedItem) -> Self {
        let (item, found) = (&classified.item, &classified.classification);
        let subject = item.subject.as_deref().unwrap_or_default();
        let words = if subject.is_empty() { item.text.clone() } else { format!("{subject}: {}", item.text) };
        Self {
            at: item.effective_at.to_string().chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect(),
            brand: item.brand.clone(),
            channel: item.channel.as_str(),
            direction: item.direction.as_str(),
            kind: if item.direction == Direction::Outbound { "own" } else { found.kind.label.as_str() },
            category: found.category.label.as_str(),
            urgency: found.urgency.label.as_str(),
            text: masked(&words),
            case_id: item.case_id.to_string(),
        }
    }
}

/// Mail and account addresses and long numbers become dots; the rest is cut to a line or two.
fn masked(words: &str) -> String {
    let kept: String = words.chars().take(MAX_CHARS * 4).collect();
    let masked: Vec<String> = kept.split_whitespace().map(mask_word).collect();
    let line = masked.join(" ");
    match line.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn mask_word(word: &str) -> String {
    const LONG_NUMBER: usize = 6;
    let is_address = word.char_indices().any(|(position, c)| position > 0 && matches!(c, '@' | '＠'));
    if is_address {
        return "•••".into();
    }
    if word.chars().filter(|c| c.is_numeric()).count() < LONG_NUMBER {
        return word.to_owned();
    }
    word.chars().map(|c| if c.is_numeric() { '•' } else { c }).collect()
}

/// The feed, shared by the consumer and the watchers.
#[derive(Clone)]
pub struct Feed {
    latest: Arc<Mutex<VecDeque<Entry>>>,
    news: broadcast::Sender<Arc<Entry>>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { latest: Arc::default(), news: broadcast::channel(BEHIND).0 }
    }
}

impl Feed {
    /// Shows an item to everyone who watches.
    pub fn show(&self, entry: Entry) {
        let entry = Arc::new(entry);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.push_front((*entry).clone());
        latest.truncate(SHOWN);
        drop(latest);
        // Nobody watching is no error.
        drop(self.news.send(entry));
    }

    /// The last ones, newest first.
    pub fn latest(&self) -> Vec<Entry> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Each new one from now on.
    pub fn watch(&self) -> broadcast::Receiver<Arc<Entry>> {
        self.news.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        Entry {
            at: "2026-03-01 09:00:00".into(),
            brand: "acme".into(),
            channel: "email",
            direction: "inbound",
            kind: "complaint",
            category: "delivery",
            urgency: "normal",
            text: text.into(),
            case_id: String::new(),
        }
    }

    #[test]
    fn addresses_and_numbers_in_words_are_masked() {
        let masked = masked("@acme write to ana@shop.example or @ana@altrove.example, call +39 021234567 or 7 today");
        assert_eq!(masked, "@acme write to ••• or ••• call +39 ••••••••• or 7 today");
    }

    #[test]
    fn a_megabyte_becomes_a_line() {
        assert_eq!(masked(&"é ".repeat(500_000)).chars().count(), MAX_CHARS + 1);
    }

    #[tokio::test]
    async fn a_slow_watcher_misses_items_and_holds_nobody_up() {
        let feed = Feed::default();
        let mut watcher = feed.watch();
        for number in 0..BEHIND + 5 {
            feed.show(entry(&number.to_string()));
        }
        assert_eq!(feed.latest().len(), SHOWN);
        assert_eq!(feed.latest()[0].text, (BEHIND + 4).to_string());
        assert!(matches!(watcher.recv().await, Err(broadcast::error::RecvError::Lagged(5))));
        assert_eq!(watcher.recv().await.unwrap().text, "5");
    }
}
