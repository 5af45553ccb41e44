//! A status as an item: a pure function of the payload, its place in a conversation and when it was seen.

use super::{api::Status, recent::KnownPost, thread::Place};
use crate::html;
use outcry_domain::{
    AuthorKind, CaseId, Channel, ContactId, Customer, CustomerKey, Direction, Item, ItemId, Origin, Post,
    PostEventKind, SCHEMA_VERSION, Timestamp, item::effective_time,
};
use sha2::{Digest, Sha256};

/// The provider's name in items and ids.
pub const PROVIDER: &str = "mastodon";
const CONNECTOR: &str = concat!("social-connector ", env!("CARGO_PKG_VERSION"));

/// The account on whose behalf we read.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The brand's id.
    pub brand: String,
    /// `social:NAME`.
    pub source: String,
    /// Under which customers are hashed.
    pub key: CustomerKey,
}

/// When and as what bytes a status was seen.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// When the network's server had it.
    pub received_at: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// The payload as it came.
    pub raw: &'a [u8],
}

/// One version of a post.
pub fn map_status(reader: &Reader, status: &Status, place: &Place, sighting: Sighting<'_>) -> Item {
    let occurred_at = status.version_time();
    let received_at = sighting.received_at;
    // An edit is not a new contact: whatever version is read, metrics count from the first publication. Otherwise an
    // answer to a post that was edited later would stand before the post.
    let (effective_at, _) = effective_time(Channel::Social, status.created_at, received_at, false);
    let (_, clock_suspect) = effective_time(Channel::Social, occurred_at, received_at, false);
    let (text, truncated) = match &status.reblog {
        // The words of a boost are another's: they count as reach and are not a complaint.
        Some(_) => (String::new(), false),
        None => html::to_text(status.content.as_deref().unwrap_or_default()),
    };
    let customer = reader.key.account(PROVIDER, &place.customer.identity, place.customer.name.as_deref());
    let version = occurred_at.as_millis().to_be_bytes();
    Item {
        schema_version: SCHEMA_VERSION,
        item_id: ItemId::new(&reader.brand, Channel::Social, PROVIDER, &[status.uri.as_bytes(), b"version", &version]),
        contact_id: contact_id(reader, &status.uri),
        case_id: CaseId::new(&reader.brand, place.root.as_bytes(), customer.customer_id),
        revision: occurred_at.as_millis(),
        brand: reader.brand.clone(),
        channel: Channel::Social,
        source: reader.source.clone(),
        provider: PROVIDER.into(),
        direction: if place.own { Direction::Outbound } else { Direction::Inbound },
        author_kind: if status.account.bot == Some(true) { AuthorKind::Automatic } else { AuthorKind::Human },
        customer,
        subject: status.spoiler_text.clone().filter(|warning| !warning.trim().is_empty()),
        text,
        quoted_text: String::new(),
        language: status.language.clone().filter(|language| !language.is_empty()),
        occurred_at,
        received_at,
        ingested_at: sighting.now,
        effective_at,
        clock_suspect,
        mail: None,
        call: None,
        post: Some(post(status, place)),
        origin: Origin {
            connector: CONNECTOR.into(),
            raw_size: sighting.raw.len() as u64,
            raw_sha256: hex::encode(Sha256::digest(sighting.raw)),
            backfill: false,
            truncated,
            location: Some(format!("statuses/{}", status.id)),
        },
        unknown_fields: serde_json::Map::new(),
    }
}

/// That a post is gone. The network does not say since when, so the item has no time of its own.
pub fn map_deletion(reader: &Reader, gone: &KnownPost, noticed_at: Timestamp) -> Item {
    Item {
        schema_version: SCHEMA_VERSION,
        item_id: ItemId::new(&reader.brand, Channel::Social, PROVIDER, &[gone.uri.as_bytes(), b"deleted"]),
        contact_id: contact_id(reader, &gone.uri),
        case_id: gone.case_id,
        // Later than every version seen so far, and earlier than one that appears if the post comes back.
        revision: noticed_at.as_millis(),
        brand: reader.brand.clone(),
        channel: Channel::Social,
        source: reader.source.clone(),
        provider: PROVIDER.into(),
        direction: gone.direction,
        author_kind: AuthorKind::Unknown,
        customer: Customer { customer_id: gone.customer_id, address: None, name: None },
        subject: None,
        text: String::new(),
        quoted_text: String::new(),
        language: None,
        occurred_at: Timestamp::UNKNOWN,
        received_at: noticed_at,
        ingested_at: noticed_at,
        effective_at: noticed_at,
        clock_suspect: false,
        mail: None,
        call: None,
        post: Some(Post {
            uri: gone.uri.clone(),
            event: PostEventKind::Deleted,
            in_reply_to: gone.parent.clone(),
            conversation: Some(gone.root.clone()),
            ..Post::default()
        }),
        origin: Origin {
            connector: CONNECTOR.into(),
            location: Some(format!("statuses/{}", gone.id)),
            ..Origin::default()
        },
        unknown_fields: serde_json::Map::new(),
    }
}

fn post(status: &Status, place: &Place) -> Post {
    let count = |value: Option<i64>| value.and_then(|count| u64::try_from(count).ok());
    Post {
        uri: status.uri.clone(),
        event: PostEventKind::Published,
        url: status.url.clone(),
        handle: Some(status.account.acct.clone()),
        in_reply_to: place.parent.as_deref().map(str::to_owned),
        conversation: Some(place.root.to_string()),
        repost_of: status.reblog.as_ref().map(|boosted| boosted.uri.clone()),
        visibility: status.visibility.clone(),
        followers: count(status.account.followers_count),
        engagement: [status.reblogs_count, status.favourites_count, status.quotes_count]
            .into_iter()
            .filter_map(count)
            .reduce(u64::saturating_add),
        rating: None,
        edited_at: status.edited_at,
    }
}

fn contact_id(reader: &Reader, uri: &str) -> ContactId {
    ContactId::new(&reader.brand, Channel::Social, &[uri.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::{super::thread, *};
    use serde_json::{Value, json};

    fn reader() -> Reader {
        Reader { brand: "acme".into(), source: "social:acme".into(), key: CustomerKey::new(b"k") }
    }

    /// Fields as mastodon/documentation `entities/Status.md` describes them; the words are ours.
    fn payload() -> Value {
        json!({
            "id": "113000000000000010", "created_at": "2026-03-01T09:00:00.000Z", "in_reply_to_id": null,
            "in_reply_to_account_id": null, "sensitive": false, "spoiler_text": "", "visibility": "public",
            "language": "it", "uri": "https://altrove.example/users/ana/statuses/5",
            "url": "https://altrove.example/@ana/5", "replies_count": 0, "reblogs_count": 2, "favourites_count": 3,
            "edited_at": null, "reblog": null, "media_attachments": [], "tags": [], "emojis": [], "card": null,
            "poll": null, "content": "<p><span class=\"h-card\"><a href=\"https://a.example/@acme\" class=\"u-url mention\">\
            @<span>acme</span></a></span> il pacco è arrivato rotto</p>",
            "account": {"id": "7", "username": "ana", "acct": "ana@altrove.example", "display_name": "Ana",
                "bot": false, "url": "https://altrove.example/@ana", "uri": "https://altrove.example/users/ana",
                "followers_count": 41, "note": ""},
            "mentions": [{"id": "1", "username": "acme", "url": "https://a.example/@acme", "acct": "acme"}],
        })
    }

    fn mapped(payload: &Value, received_at: &str) -> Item {
        let status: Status = serde_json::from_value(payload.clone()).unwrap();
        let place = thread::place("https://a.example", "1", &status, thread::Parent::None);
        let raw = payload.to_string();
        let sighting = Sighting {
            received_at: received_at.parse().unwrap(),
            now: "2026-03-01T09:00:30Z".parse().unwrap(),
            raw: raw.as_bytes(),
        };
        map_status(&reader(), &status, &place, sighting)
    }

    #[test]
    fn a_mention_is_an_inbound_item_with_its_reach() {
        let item = mapped(&payload(), "2026-03-01T09:00:02Z");
        assert_eq!(item.text, "@acme il pacco è arrivato rotto");
        assert_eq!((item.direction, item.author_kind), (Direction::Inbound, AuthorKind::Human));
        assert_eq!(item.occurred_at.to_string(), "2026-03-01T09:00:00.000Z");
        assert_eq!(item.effective_at, item.occurred_at);
        assert_eq!(item.customer.address.as_deref(), Some("mastodon:https://altrove.example/@ana"));
        assert_eq!((item.language.as_deref(), item.subject.as_deref()), (Some("it"), None));
        let post = item.post.unwrap();
        assert_eq!((post.followers, post.engagement), (Some(41), Some(5)));
        assert_eq!(post.conversation.as_deref(), Some("https://altrove.example/users/ana/statuses/5"));
        assert_eq!(post.visibility.as_deref(), Some("public"));
    }

    #[test]
    fn the_same_version_seen_again_with_other_counts_is_the_same_fact() {
        let mut later = payload();
        later["favourites_count"] = json!(90);
        let (first, second) = (mapped(&payload(), "2026-03-01T09:00:02Z"), mapped(&later, "2026-03-02T00:00:00Z"));
        assert_eq!(first.item_id, second.item_id);
        assert_eq!(first.occurred_at, second.occurred_at, "occurred_at is in the sort key");
    }

    #[test]
    fn an_edit_is_another_fact_of_the_same_contact() {
        let mut edited = payload();
        edited["edited_at"] = json!("2026-03-01T09:05:00.000Z");
        edited["content"] = json!("<p>risolto</p>");
        let (first, second) = (mapped(&payload(), "2026-03-01T09:00:02Z"), mapped(&edited, "2026-03-01T09:00:02Z"));
        assert_ne!(first.item_id, second.item_id);
        assert_eq!((first.contact_id, first.case_id), (second.contact_id, second.case_id));
        assert!(second.revision > first.revision);
        assert_eq!(second.occurred_at.to_string(), "2026-03-01T09:05:00.000Z");
        assert_eq!(second.effective_at, first.occurred_at, "the clock started with the first version");
    }

    #[test]
    fn a_deletion_follows_every_version_and_carries_no_words() {
        let status: Status = serde_json::from_value(payload()).unwrap();
        let place = thread::place("https://a.example", "1", &status, thread::Parent::None);
        let version = mapped(&payload(), "2026-03-01T09:00:02Z");
        let known = KnownPost::new("10", &place, &version);
        let gone = map_deletion(&reader(), &known, "2026-03-01T10:00:00Z".parse().unwrap());
        let again = map_deletion(&reader(), &known, "2026-03-01T11:00:00Z".parse().unwrap());
        assert_eq!(gone.item_id, again.item_id);
        assert_eq!(gone.occurred_at, Timestamp::UNKNOWN);
        assert_eq!((gone.contact_id, gone.case_id), (version.contact_id, version.case_id));
        assert!(gone.revision > version.revision && gone.text.is_empty());
        assert_eq!(gone.post.unwrap().event, PostEventKind::Deleted);
    }

    #[test]
    fn a_boost_is_reach_and_not_a_complaint() {
        let mut boost = payload();
        boost["reblog"] = payload();
        boost["reblog"]["uri"] = json!("https://a.example/s/1");
        let item = mapped(&boost, "2026-03-01T09:00:02Z");
        assert_eq!(item.text, "");
        assert_eq!(item.post.unwrap().repost_of.as_deref(), Some("https://a.example/s/1"));
    }

    #[test]
    fn a_clock_in_2099_does_not_start_the_clock() {
        let mut dated = payload();
        dated["created_at"] = json!("2099-01-01T00:00:00.000Z");
        let item = mapped(&dated, "2026-03-01T09:00:02Z");
        assert_eq!(item.effective_at, item.received_at);
        assert!(item.clock_suspect);
    }

    #[test]
    fn a_warning_is_the_subject_and_a_bot_is_a_machine() {
        let mut marked = payload();
        marked["spoiler_text"] = json!("rant");
        marked["account"]["bot"] = json!(true);
        let item = mapped(&marked, "2026-03-01T09:00:02Z");
        assert_eq!((item.subject.as_deref(), item.author_kind), (Some("rant"), AuthorKind::Automatic));
    }

    #[test]
    fn a_status_with_only_what_is_needed_is_read() {
        let bare = json!({"id": "1", "uri": "https://x.example/1", "created_at": "2026-03-01T09:00:00Z",
            "account": {"id": "7", "acct": "ana@x.example"}});
        let item = mapped(&bare, "2026-03-01T09:00:00Z");
        assert_eq!(item.customer.address.as_deref(), Some("mastodon:ana@x.example"));
        assert_eq!(item.text, "");
    }
}
