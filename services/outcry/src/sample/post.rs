//! Posts: mentions of the brand, its public answers, an edit and a deletion.

use super::{
    Counts, HANDLE,
    data::{self, Answer, Label, Post, PostFile, SampleError},
    mail::escape,
};
use outcry_domain::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What happens on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostKind {
    /// A customer mentions the brand.
    Mention,
    /// The brand's account posts an answer.
    OwnReply,
    /// The post `id` has new text.
    Edit,
    /// The post `id` is taken down.
    Delete,
}

/// One change on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamplePost {
    /// What happens.
    pub kind: PostKind,
    /// The post's own name; an edit and a deletion carry that of the post they change.
    pub id: String,
    /// `user@server`; the brand's account has no server.
    pub author: String,
    /// Name shown.
    pub name: String,
    /// HTML as Mastodon writes it; empty for a deletion.
    pub html: String,
    /// When this happened.
    pub created_at: Timestamp,
    /// `id` of the post answered.
    pub in_reply_to: Option<String>,
    /// `public`, `unlisted`, `private` or `direct`.
    pub visibility: String,
    /// Followers of the author.
    pub followers: u64,
    /// Boosts of the post.
    pub boosts: u64,
    /// BCP 47 tag.
    pub language: String,
    /// How a person would label it.
    pub label: Option<Label>,
}

const FILES: [(&str, &str); 8] = [
    ("posts/en.toml", include_str!("../../sample/posts/en.toml")),
    ("posts/it.toml", include_str!("../../sample/posts/it.toml")),
    ("posts/pt.toml", include_str!("../../sample/posts/pt.toml")),
    ("posts/de.toml", include_str!("../../sample/posts/de.toml")),
    ("posts/es.toml", include_str!("../../sample/posts/es.toml")),
    ("posts/fr.toml", include_str!("../../sample/posts/fr.toml")),
    ("posts/ja.toml", include_str!("../../sample/posts/ja.toml")),
    ("posts/zh.toml", include_str!("../../sample/posts/zh.toml")),
];

/// Every change, oldest first.
pub fn build(now: Timestamp) -> Result<Vec<SamplePost>, SampleError> {
    let mut posts = Vec::new();
    for (name, content) in FILES {
        let file: PostFile = data::parse(name, content)?;
        let mut latest: BTreeMap<String, (String, Timestamp)> = BTreeMap::new();
        for (index, post) in file.post.iter().enumerate() {
            let id = format!("{}-{}{:02}", data::stamp(now), file.language, index + 1);
            let in_reply_to = match &post.replies_to {
                None => None,
                Some(key) => Some(latest.get(key).ok_or_else(|| SampleError::Reference(key.clone()))?.0.clone()),
            };
            let created_at = now.minus(post.ago.0);
            let first = mention(post, &id, &file.language, created_at, in_reply_to);
            let last = conversation(post, first, &mut posts);
            if !post.key.is_empty() {
                latest.insert(post.key.clone(), (last, created_at));
            }
        }
    }
    posts.sort_by_key(|post| post.created_at);
    Ok(posts)
}

/// What must be found of these posts.
pub fn counts(posts: &[SamplePost]) -> Counts {
    let contacts: BTreeSet<&str> = posts.iter().map(|post| post.id.as_str()).collect();
    Counts { sent: posts.len(), items: posts.len(), contacts: contacts.len() }
}

fn mention(post: &Post, id: &str, language: &str, created_at: Timestamp, in_reply_to: Option<String>) -> SamplePost {
    SamplePost {
        kind: PostKind::Mention,
        id: id.to_owned(),
        author: post.author.clone(),
        name: post.name.clone(),
        html: html(&post.text),
        created_at,
        in_reply_to,
        visibility: post.visibility.clone(),
        followers: post.followers,
        boosts: post.boosts,
        language: language.to_owned(),
        label: post.label,
    }
}

/// The post, what became of it, and the answers to it. Gives the id of the last answer, or of the post.
fn conversation(post: &Post, first: SamplePost, out: &mut Vec<SamplePost>) -> String {
    let mut last = (first.id.clone(), first.created_at);
    let change = SamplePost { label: None, ..first.clone() };
    if let Some(Answer { after, text, .. }) = &post.edit {
        let created_at = first.created_at.plus(after.0);
        out.push(SamplePost { kind: PostKind::Edit, html: html(text), created_at, ..change.clone() });
    }
    if let Some(after) = post.deleted_after {
        let created_at = first.created_at.plus(after.0);
        out.push(SamplePost { kind: PostKind::Delete, html: String::new(), created_at, ..change.clone() });
    }
    for (index, answer) in post.answer.iter().enumerate() {
        let user = first.author.split('@').next().unwrap_or_default();
        let reply = SamplePost {
            kind: PostKind::OwnReply,
            id: format!("{}-a{}", first.id, index + 1),
            author: HANDLE.into(),
            name: "Marelda".into(),
            html: html(&format!("@{user} {}", answer.text)),
            created_at: last.1.plus(answer.after.0),
            in_reply_to: Some(last.0),
            followers: 18_400,
            boosts: 0,
            ..change.clone()
        };
        last = (reply.id.clone(), reply.created_at);
        out.push(reply);
    }
    out.push(first);
    last.0
}

/// Words as Mastodon shows them: paragraphs, line breaks, mentions and hashtags as links.
fn html(text: &str) -> String {
    let lines = |block: &str| block.lines().map(line).collect::<Vec<_>>().join("<br>");
    text.trim().split("\n\n").map(|block| format!("<p>{}</p>", lines(block))).collect()
}

fn line(line: &str) -> String {
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn word(word: &str) -> String {
    let name_ends = |rest: &str| rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let link = |class: &str, sign: &str, rest: &str| {
        let (name, after) = rest.split_at(name_ends(rest));
        let path = if sign == "#" { "tags/" } else { "@" };
        let link = format!(
            "<a href=\"https://social.example/{path}{name}\" class=\"{class}\">{sign}<span>{name}</span></a>{}",
            escape(after)
        );
        if sign == "@" { format!("<span class=\"h-card\">{link}</span>") } else { link }
    };
    match (word.strip_prefix('@'), word.strip_prefix('#')) {
        (Some(rest), _) if name_ends(rest) > 0 => link("u-url mention", "@", rest),
        (_, Some(rest)) if name_ends(rest) > 0 => link("mention hashtag", "#", rest),
        _ => escape(word),
    }
}
