//! The entities as JSON, field by field as `mastodon/documentation` (entities/Status, Notification, StatusEdit,
//! Account, Instance) has them.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::store::{Status, Store};

/// The id of an account, from its name.
pub(super) fn account_id(author: &str) -> String {
    let mut hasher = DefaultHasher::new();
    author.hash(&mut hasher);
    (109_000_000_000_000_000 + hasher.finish() % 1_000_000_000_000).to_string()
}

pub(super) fn account(store: &Store, author: &str) -> Value {
    let (username, host) = author.split_once('@').unwrap_or((author, ""));
    let base = if host.is_empty() { store.base_url.clone() } else { format!("https://{host}") };
    json!({
        "id": account_id(author), "username": username, "acct": author, "display_name": username,
        "locked": false, "bot": false, "discoverable": null, "group": false,
        "created_at": "2024-01-01T00:00:00.000Z", "note": "",
        "url": format!("{base}/@{username}"), "uri": format!("{base}/users/{username}"),
        "avatar": format!("{base}/avatars/original/missing.png"), "avatar_static": format!("{base}/avatars/original/missing.png"),
        "header": format!("{base}/headers/original/missing.png"), "header_static": format!("{base}/headers/original/missing.png"),
        "followers_count": 12, "following_count": 3, "statuses_count": 5, "last_status_at": null,
        "emojis": [], "fields": []
    })
}

pub(super) fn status(store: &Store, status: &Status) -> Value {
    let (username, host) = status.author.split_once('@').unwrap_or((status.author.as_str(), ""));
    let base = if host.is_empty() { store.base_url.clone() } else { format!("https://{host}") };
    let (content, last_version) = status.versions.last().cloned().unwrap_or_default();
    let brand = &store.options.username;
    let mentions_brand = store.notifications.values().any(|id| *id == status.id);
    let mentions = match mentions_brand {
        true => {
            json!([{"id": account_id(brand), "username": brand, "acct": brand, "url": format!("{}/@{brand}", store.base_url)}])
        }
        false => json!([]),
    };
    let answered = status.in_reply_to.and_then(|id| store.statuses.get(&id));
    json!({
        "id": status.id.to_string(),
        "created_at": time(status.created_at),
        "in_reply_to_id": status.in_reply_to.map(|id| id.to_string()),
        "in_reply_to_account_id": answered.map(|answered| account_id(&answered.author)),
        "sensitive": false, "spoiler_text": "", "visibility": status.visibility, "language": status.language,
        "uri": format!("{base}/users/{username}/statuses/{}", status.id),
        "url": format!("{base}/@{username}/{}", status.id),
        "replies_count": 0, "reblogs_count": 0, "favourites_count": 0, "quotes_count": 0,
        "edited_at": (status.versions.len() > 1).then(|| time(last_version)),
        "favourited": false, "reblogged": false, "muted": false, "bookmarked": false,
        "content": content, "filtered": [],
        "reblog": status.boost_of.and_then(|id| store.statuses.get(&id)).map(|original| self::status(store, original)),
        "application": null, "account": account(store, &status.author),
        "media_attachments": [], "mentions": mentions, "tags": [], "emojis": [],
        "quote": null, "card": null, "poll": null
    })
}

pub(super) fn notification(store: &Store, id: u64, about: &Status) -> Value {
    json!({
        "id": id.to_string(), "type": "mention", "created_at": time(about.created_at),
        "group_key": format!("ungrouped-{id}"),
        "account": account(store, &about.author), "status": status(store, about)
    })
}

pub(super) fn history(store: &Store, of: &Status) -> Value {
    let author = account(store, &of.author);
    let version = |(content, at): &(String, Timestamp)| {
        json!({
            "content": content, "spoiler_text": "", "sensitive": false, "created_at": time(*at),
            "account": author, "media_attachments": [], "emojis": []
        })
    };
    of.versions.iter().map(version).collect()
}

pub(super) fn instance(store: &Store) -> Value {
    let domain = store.base_url.trim_start_matches("http://");
    json!({
        "domain": domain, "title": "Outcry sandbox", "version": "4.4.0", "source_url": "", "description": "",
        "usage": {"users": {"active_month": 1}}, "languages": ["en"], "rules": [],
        "configuration": {
            "urls": {"streaming": store.base_url.replacen("http", "ws", 1)},
            "statuses": {"max_characters": 500, "max_media_attachments": 4, "characters_reserved_per_url": 23}
        },
        "registrations": {"enabled": false, "approval_required": false, "message": null},
        "api_versions": {"mastodon": 6}, "contact": {"email": "", "account": null}
    })
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
