//! `twcs_sample`: customer support on Twitter, as posts of a Mastodon server; and the response times computed from the
//! CSV alone, by the rules of the `cases` view but none of its code.
//!
//! A **conversation** is a tree of answers; its root is the first tweet, or the tweet outside the sample that the first one
//! answers. A **customer** is an author of inbound tweets. The company tweets of all companies are one brand's replies.
//! A **case** is a conversation and a customer who wrote in it; it begins (t0) with the customer's first tweet. A company
//! tweet concerns the customer of the tweet it answers, through other company tweets too; when the question is not in the
//! sample, nobody can tell whom it concerns, and it answers no case. The **first response** is the earliest company tweet
//! at or after t0 that concerns that customer in that conversation.

use anyhow::{Context, Result};
use jiff::Timestamp;
use outcry_sandbox::{MastodonServer, mastodon::NewStatus};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

/// One row of the CSV.
#[derive(Clone, Debug, PartialEq)]
pub struct Tweet {
    /// `tweet_id`.
    pub id: u64,
    /// `author_id`.
    pub author: String,
    /// A customer wrote it.
    pub inbound: bool,
    /// `created_at`.
    pub at: Timestamp,
    /// `text`.
    pub text: String,
    /// `in_response_to_tweet_id`, in the sample or not.
    pub answers: Option<u64>,
}

#[derive(Deserialize)]
struct Row {
    tweet_id: u64,
    author_id: String,
    inbound: String,
    created_at: String,
    text: String,
    in_response_to_tweet_id: Option<f64>,
}

/// The sample, oldest first. One row of it holds nothing but an id that another row has too; it is no tweet.
pub fn read(csv: &Path) -> Result<Vec<Tweet>> {
    let mut reader = csv::Reader::from_path(csv).with_context(|| format!("reading {}", csv.display()))?;
    let mut tweets = Vec::new();
    for row in reader.deserialize() {
        let row: Row = row.with_context(|| format!("reading {}", csv.display()))?;
        if row.created_at.is_empty() && row.author_id.is_empty() {
            eprintln!("real_input: passing over an empty row with the id {}", row.tweet_id);
            continue;
        }
        let at = jiff::fmt::strtime::parse("%a %b %d %H:%M:%S %z %Y", &row.created_at)
            .and_then(|parsed| parsed.to_timestamp())
            .with_context(|| format!("created_at of tweet {}", row.tweet_id))?;
        tweets.push(Tweet {
            id: row.tweet_id,
            author: row.author_id,
            inbound: row.inbound == "True",
            at,
            text: row.text,
            // The column is written as a float; ids are far below 2^53.
            answers: row.in_response_to_tweet_id.map(|id| id as u64),
        });
    }
    tweets.sort_by_key(|tweet| (tweet.at, tweet.id));
    Ok(tweets)
}

/// Puts the sample on the server: inbound tweets as mentions of the brand, company tweets as its own. Gives the URI under
/// which each tweet is found, by tweet id.
pub fn post(server: &MastodonServer, tweets: &[Tweet]) -> Result<BTreeMap<u64, String>> {
    // A question that is not in the sample is a status that the server does not have.
    const ABSENT: u64 = 100_000_000_000_000_000;
    let mut ids = HashMap::new();
    let mut uris = BTreeMap::new();
    let in_sample: HashSet<u64> = tweets.iter().map(|tweet| tweet.id).collect();
    let mut waiting: Vec<&Tweet> = tweets.iter().collect();
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut later = Vec::new();
        for tweet in waiting {
            let answered = match tweet.answers {
                None => None,
                Some(question) if !in_sample.contains(&question) => Some((ABSENT + question).to_string()),
                Some(question) => match ids.get(&question) {
                    Some(id) => Some(String::clone(id)),
                    // The question bears a later time than its answer; it comes first all the same.
                    None => {
                        later.push(tweet);
                        continue;
                    }
                },
            };
            let (author, id) = add(server, tweet, answered.as_deref());
            uris.insert(tweet.id, format!("{}/users/{author}/statuses/{id}", server.base_url()));
            ids.insert(tweet.id, id);
        }
        waiting = later;
        anyhow::ensure!(waiting.len() < before, "{before} tweets answer each other in a circle");
    }
    Ok(uris)
}

fn add(server: &MastodonServer, tweet: &Tweet, answered: Option<&str>) -> (String, String) {
    if !tweet.inbound {
        return (BRAND_ACCOUNT.to_owned(), server.add_own(&tweet.text, tweet.at, answered));
    }
    let author = format!("c{}", tweet.author);
    let mut status = NewStatus::new(&author, &tweet.text, tweet.at);
    status.in_reply_to = answered.map(str::to_owned);
    (author, server.add_mention(status))
}

const BRAND_ACCOUNT: &str = "acme";

/// The account to read, and nothing asked twice: the sample does not change.
pub fn sections(server: &MastodonServer) -> String {
    format!(
        r#"
[social]
poll_interval_seconds = 1
recheck_interval_seconds = 0

[[social.accounts]]
name = "mastodon-acme"
brand = "acme"
network = "mastodon"
base_url = "{}"
token = "{}"
"#,
        server.base_url(),
        server.token()
    )
}

/// What the report `response-times` says of the channel, computed here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResponseTimes {
    /// Cases: customers in conversations.
    pub cases: u64,
    /// Those with an answer.
    pub answered: u64,
    /// Half of the answered cases were answered within this time.
    pub median_seconds: f64,
    /// Nine of ten.
    pub p90_seconds: f64,
    /// 19 of 20.
    pub p95_seconds: f64,
    /// Average.
    pub mean_seconds: f64,
}

/// Where a tweet stands: the tweet at the root (in the sample or not), and the customer it concerns.
type Case = (u64, String);

/// Computes from the CSV alone. `uncounted` are inbound tweets that open no case, because they were judged to be spam.
pub fn response_times(tweets: &[Tweet], uncounted: &HashSet<u64>) -> Option<ResponseTimes> {
    let by_id: HashMap<u64, &Tweet> = tweets.iter().map(|tweet| (tweet.id, tweet)).collect();
    let mut begun = HashMap::<Case, Timestamp>::new();
    for tweet in tweets.iter().filter(|tweet| tweet.inbound && !uncounted.contains(&tweet.id)) {
        let first = begun.entry((root(&by_id, tweet), tweet.author.clone())).or_insert(tweet.at);
        *first = tweet.at.min(*first);
    }
    let mut responded = HashMap::<Case, Timestamp>::new();
    for tweet in tweets.iter().filter(|tweet| !tweet.inbound) {
        let Some(customer) = addressee(&by_id, tweet) else { continue };
        let case = (root(&by_id, tweet), customer.to_owned());
        if begun.get(&case).is_some_and(|t0| tweet.at >= *t0) {
            let first = responded.entry(case).or_insert(tweet.at);
            *first = tweet.at.min(*first);
        }
    }
    let seconds = |(case, at): (&Case, &Timestamp)| at.duration_since(begun[case]).as_secs_f64();
    let mut times: Vec<f64> = responded.iter().map(seconds).collect();
    times.sort_by(f64::total_cmp);
    Some(ResponseTimes {
        cases: begun.len() as u64,
        answered: times.len() as u64,
        median_seconds: quantile(&times, 0.5)?,
        p90_seconds: quantile(&times, 0.9)?,
        p95_seconds: quantile(&times, 0.95)?,
        mean_seconds: times.iter().sum::<f64>() / times.len() as f64,
    })
}

fn root(by_id: &HashMap<u64, &Tweet>, tweet: &Tweet) -> u64 {
    let mut at = tweet;
    loop {
        match at.answers {
            None => return at.id,
            Some(question) => match by_id.get(&question) {
                None => return question,
                Some(answered) => at = answered,
            },
        }
    }
}

fn addressee<'a>(by_id: &HashMap<u64, &'a Tweet>, tweet: &'a Tweet) -> Option<&'a str> {
    let mut at = tweet;
    while !at.inbound {
        at = by_id.get(&at.answers?)?;
    }
    Some(&at.author)
}

/// numpy's default: linear between the two nearest ranks. `sorted` ascends.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
    Some(below + (above - below) * rank.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tweet(id: u64, author: &str, second: i64, answers: Option<u64>) -> Tweet {
        let at = Timestamp::from_second(1_500_000_000 + second).unwrap();
        Tweet { id, author: author.into(), inbound: author != "brand", at, text: String::new(), answers }
    }

    #[test]
    fn a_response_is_to_that_customer_in_that_conversation_after_the_first_question() {
        let tweets = [
            tweet(1, "ana", 0, None),
            tweet(2, "ben", 10, Some(1)),
            tweet(3, "brand", 60, Some(2)),
            tweet(4, "brand", 100, Some(3)),
            tweet(5, "brand", 300, Some(1)),
            // The question is not in the sample: it opens nothing, and answers nobody.
            tweet(6, "brand", 400, Some(99)),
            tweet(7, "cem", 500, Some(6)),
            tweet(8, "brand", 520, Some(7)),
            tweet(9, "dora", 600, None),
        ];
        let found = response_times(&tweets, &HashSet::new()).unwrap();
        assert_eq!((found.cases, found.answered), (4, 3));
        // ana 300 s, ben 50 s, cem 20 s.
        assert_eq!((found.median_seconds, found.p90_seconds), (50.0, 250.0));
        let without_ben = response_times(&tweets, &HashSet::from([2])).unwrap();
        assert_eq!((without_ben.cases, without_ben.answered, without_ben.median_seconds), (3, 2, 160.0));
    }
}
