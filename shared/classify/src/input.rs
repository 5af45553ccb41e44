//! What the classifier is given.

use outcry_domain::{AuthorKind, Channel, Direction, Item};

/// A text and what is known about it. Only the text is needed.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Subject line; empty where the channel has none.
    pub subject: &'a str,
    /// What the person wrote, without quotes and signature.
    pub text: &'a str,
    /// BCP 47 tag that the source states. A hint: people write in other languages than their phone's.
    pub language_hint: Option<&'a str>,
    /// Languages of the brand's customers, most frequent first.
    pub brand_languages: &'a [String],
    /// How it came.
    pub channel: Channel,
    /// From the customer, or from the brand: the brand's own words are `own` whatever they say.
    pub direction: Direction,
    /// A person or a machine.
    pub author_kind: AuthorKind,
    /// What is known beside the words.
    pub circumstances: Circumstances,
}

/// Facts about an item that raise or lower its urgency without being words of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// The caller gave up in the queue.
    pub abandoned: bool,
    /// How long the caller waited.
    pub wait_ms: Option<u64>,
    /// Followers of a public post's author.
    pub followers: Option<u64>,
    /// Reposts, quotes and likes of a public post.
    pub engagement: Option<u64>,
    /// Stars of a review, 1 to 5.
    pub rating: Option<u8>,
    /// How often this customer wrote about the same thing before and it was thought solved.
    pub repeats: u32,
    /// How often this customer wrote again while waiting for the first answer.
    pub chasers: u32,
}

impl<'a> Input<'a> {
    /// A text from a customer, nothing else known.
    pub fn new(text: &'a str) -> Self {
        Self {
            subject: "",
            text,
            language_hint: None,
            brand_languages: &[],
            channel: Channel::Email,
            direction: Direction::Inbound,
            author_kind: AuthorKind::Unknown,
            circumstances: Circumstances::default(),
        }
    }

    /// The same, with a subject.
    pub fn with_subject(subject: &'a str, text: &'a str) -> Self {
        Self { subject, ..Self::new(text) }
    }

    /// What an item says. A call's words are its transcript when it has no text.
    pub fn of_item(item: &'a Item, brand_languages: &'a [String]) -> Self {
        let transcript = item.call.as_ref().and_then(|call| call.transcript.as_deref()).unwrap_or_default();
        Self {
            subject: item.subject.as_deref().unwrap_or_default(),
            text: if item.text.is_empty() { transcript } else { &item.text },
            language_hint: item.language.as_deref(),
            brand_languages,
            channel: item.channel,
            direction: item.direction,
            author_kind: item.author_kind,
            circumstances: Circumstances {
                abandoned: item.call.as_ref().and_then(|call| call.abandoned).unwrap_or(false),
                wait_ms: item.call.as_ref().and_then(|call| call.wait_ms),
                followers: item.post.as_ref().and_then(|post| post.followers),
                engagement: item.post.as_ref().and_then(|post| post.engagement),
                rating: item.post.as_ref().and_then(|post| post.rating),
                repeats: 0,
                chasers: 0,
            },
        }
    }
}
