//! Which conversation a post belongs to, and which customer it concerns.
//!
//! The rule, so that a brand's reply lands in the case of the post it answers:
//!
//! - **Root.** A post that answers nothing is the root of its conversation: its own URI. One that answers another has the
//!   root of that other, all the way up. When a post on the way cannot be seen (deleted, private), the place it had on
//!   our server, `{base_url}/statuses/{id}`, stands for the root, so that all who answer the unseen post stay together.
//! - **Customer.** Of a post that others wrote: its author. Of the brand's own post: the customer of the post it answers,
//!   even through a chain of the brand's own posts; else the account that the server says it answers, if it is among
//!   the mentions; else the first other account mentioned; else nobody, and the brand's account stands in.
//!
//! The case is the hash of brand, root and customer. The answer depends on what the network shows and not on what this
//! process has seen before: what it remembers ([`Threads`]) only saves requests.

use super::api::{Account, Mention, Status};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// An account, by the names that outlast a change of handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Address of the profile, or `acct` if the server gives none.
    pub identity: Arc<str>,
    /// The name shown, where it is known.
    pub name: Option<Arc<str>>,
}

impl Person {
    pub(crate) fn of_account(account: &Account) -> Self {
        Self {
            identity: account.url.as_deref().unwrap_or(&account.acct).into(),
            name: account.display_name.as_deref().filter(|name| !name.is_empty()).map(Into::into),
        }
    }

    fn of_mention(mention: &Mention) -> Self {
        Self { identity: mention.url.as_deref().unwrap_or(&mention.acct).into(), name: None }
    }
}

/// A post's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The post's own URI.
    pub uri: Arc<str>,
    /// URI of the conversation's first post.
    pub root: Arc<str>,
    /// URI of the post that it answers, if that can be seen.
    pub parent: Option<Arc<str>>,
    /// Whom it concerns.
    pub customer: Person,
    /// The brand wrote it.
    pub own: bool,
}

/// The post that another answers.
#[derive(Clone, Copy, Debug)]
pub enum Parent<'a> {
    /// It answers nothing.
    None,
    /// It answers a post, by local id, that cannot be seen.
    Unseen(&'a str),
    /// It answers this one.
    Known(&'a Place),
}

/// Applies the rule above to one post.
pub fn place(base_url: &str, own_account: &str, status: &Status, parent: Parent<'_>) -> Place {
    let own = status.account.id == own_account;
    let root = match parent {
        Parent::None => status.uri.as_str().into(),
        Parent::Unseen(id) => format!("{}/statuses/{id}", base_url.trim_end_matches('/')).into(),
        Parent::Known(parent) => parent.root.clone(),
    };
    let customer = if own { addressee(own_account, status, parent) } else { Person::of_account(&status.account) };
    let parent = match parent {
        Parent::Known(parent) => Some(parent.uri.clone()),
        Parent::None | Parent::Unseen(_) => None,
    };
    Place { uri: status.uri.as_str().into(), root, parent, customer, own }
}

fn addressee(own_account: &str, status: &Status, parent: Parent<'_>) -> Person {
    let own = Person::of_account(&status.account);
    if let Parent::Known(parent) = parent
        && parent.customer.identity != own.identity
    {
        return parent.customer.clone();
    }
    let others = || status.mentions.iter().filter(|mention| mention.id != own_account);
    others()
        .find(|mention| status.in_reply_to_account_id.as_ref() == Some(&mention.id))
        .or_else(|| others().next())
        .map_or(own, Person::of_mention)
}

/// Places of posts seen lately, by local id; bounded, the oldest entry makes room.
#[derive(Debug)]
pub struct Threads {
    places: HashMap<Arc<str>, Place>,
    order: VecDeque<Arc<str>>,
    capacity: usize,
}

impl Threads {
    /// Remembers at most `capacity` posts, about 300 bytes each.
    pub fn new(capacity: usize) -> Self {
        Self { places: HashMap::new(), order: VecDeque::new(), capacity: capacity.max(1) }
    }

    /// Where the post of that local id stands, if it was seen lately.
    pub fn get(&self, id: &str) -> Option<&Place> {
        self.places.get(id)
    }

    /// Remembers a post.
    pub fn insert(&mut self, id: &str, place: Place) {
        let id: Arc<str> = id.into();
        if self.places.insert(id.clone(), place).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const BRAND: &str = "1";

    fn status(id: &str, author: &str, answers: Option<(&str, &str)>, mentions: &[&str]) -> Status {
        let account =
            |id: &str| json!({"id": id, "acct": format!("u{id}"), "url": format!("https://a.example/@u{id}")});
        serde_json::from_value(json!({
            "id": id, "uri": format!("https://a.example/s/{id}"), "created_at": "2026-03-01T09:00:00Z",
            "in_reply_to_id": answers.map(|(post, _)| post), "in_reply_to_account_id": answers.map(|(_, author)| author),
            "account": account(author), "mentions": mentions.iter().map(|id| account(id)).collect::<Vec<_>>(),
        }))
        .unwrap()
    }

    fn placed(status: &Status, parent: Parent<'_>) -> Place {
        place("https://a.example/", BRAND, status, parent)
    }

    fn case(place: &Place) -> (&str, &str) {
        (&place.root, &place.customer.identity)
    }

    #[test]
    fn the_brands_reply_joins_the_case_of_the_post_it_answers() {
        let asked = placed(&status("10", "7", None, &[BRAND]), Parent::None);
        let answered = placed(&status("11", BRAND, Some(("10", "7")), &["7"]), Parent::Known(&asked));
        let thanked = placed(&status("12", "7", Some(("11", BRAND)), &[BRAND]), Parent::Known(&answered));
        assert_eq!(case(&answered), case(&asked));
        assert_eq!(case(&thanked), case(&asked));
        assert_eq!(answered.parent.as_deref(), Some("https://a.example/s/10"));
    }

    #[test]
    fn a_reply_in_two_parts_concerns_the_same_customer() {
        let asked = placed(&status("10", "7", None, &[BRAND]), Parent::None);
        let first = placed(&status("11", BRAND, Some(("10", "7")), &["7"]), Parent::Known(&asked));
        let second = placed(&status("12", BRAND, Some(("11", BRAND)), &[]), Parent::Known(&first));
        assert_eq!(case(&second), case(&asked));
    }

    #[test]
    fn a_bystander_in_the_conversation_has_a_case_of_their_own() {
        let asked = placed(&status("10", "7", None, &[BRAND]), Parent::None);
        let bystander = placed(&status("11", "8", Some(("10", "7")), &[BRAND, "7"]), Parent::Known(&asked));
        let answered = placed(&status("12", BRAND, Some(("11", "8")), &["8", "7"]), Parent::Known(&bystander));
        assert_eq!(bystander.root, asked.root);
        assert_ne!(case(&bystander), case(&asked));
        assert_eq!(case(&answered), case(&bystander));
    }

    #[test]
    fn all_who_answer_an_unseen_post_stay_together() {
        let customer = placed(&status("11", "7", Some(("10", "9")), &[BRAND]), Parent::Unseen("10"));
        let brand = placed(&status("12", BRAND, Some(("10", "7")), &["9", "7"]), Parent::Unseen("10"));
        assert_eq!(case(&customer), ("https://a.example/statuses/10", "https://a.example/@u7"));
        assert_eq!(case(&brand), case(&customer), "the account answered is found among the mentions");
    }

    #[test]
    fn an_announcement_concerns_whom_it_names_or_nobody() {
        let named = placed(&status("10", BRAND, None, &[BRAND, "7"]), Parent::None);
        assert_eq!(&*named.customer.identity, "https://a.example/@u7");
        let broadcast = placed(&status("11", BRAND, None, &[]), Parent::None);
        assert_eq!(&*broadcast.customer.identity, "https://a.example/@u1");
        let complaint = placed(&status("12", "7", Some(("11", BRAND)), &[BRAND]), Parent::Known(&broadcast));
        let answered = placed(&status("13", BRAND, Some(("12", "7")), &["7"]), Parent::Known(&complaint));
        assert_eq!(case(&answered), case(&complaint));
        let follow_up = placed(&status("14", BRAND, Some(("11", BRAND)), &["7"]), Parent::Known(&broadcast));
        assert_eq!(case(&follow_up), case(&complaint));
    }

    #[test]
    fn memory_is_bounded_and_forgets_the_oldest() {
        let mut threads = Threads::new(2);
        for id in ["1", "2", "2", "3"] {
            threads.insert(id, placed(&status(id, "7", None, &[]), Parent::None));
        }
        assert!(threads.get("1").is_none() && threads.get("2").is_some() && threads.get("3").is_some());
    }
}
