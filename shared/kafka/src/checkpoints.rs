//! Where a source was left off: one compacted topic, keyed by owner and key.
//!
//! A checkpoint is written after what it covers was delivered. A crash in between repeats records, whose ids make that
//! harmless; a checkpoint never runs ahead of what it stands for.

use crate::{KafkaConfig, KafkaError, PublishError, Publisher, Topic, scan::scan};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// The checkpoints of one owner, such as `email:support`.
pub struct Checkpoints {
    publisher: Publisher,
    owner: String,
    values: Mutex<HashMap<String, Vec<u8>>>,
}

impl Checkpoints {
    /// Reads the owner's checkpoints to the end of the topic.
    pub async fn open(config: &KafkaConfig, publisher: &Publisher, owner: &str) -> Result<Self, KafkaError> {
        let prefix = format!("{owner}/");
        let written = scan(config, &config.topic_name(Topic::Checkpoints), move |record| {
            let key = std::str::from_utf8(record.key.as_deref()?).ok()?.strip_prefix(&prefix)?.to_owned();
            Some((key, record.payload))
        })
        .await?;
        let mut values = HashMap::new();
        for (key, value) in written {
            // An empty value is a tombstone.
            if value.is_empty() {
                values.remove(&key)
            } else {
                values.insert(key, value)
            };
        }
        Ok(Self { publisher: publisher.clone(), owner: owner.to_owned(), values: Mutex::new(values) })
    }

    /// The checkpoint of that key, if there is one of that form.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let value = values.get(key)?;
        serde_json::from_slice(value)
            .inspect_err(
                |error| tracing::error!(owner = self.owner, %error, "a checkpoint cannot be read; starting over"),
            )
            .ok()
    }

    /// Every key there is.
    pub fn keys(&self) -> Vec<String> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Forgets a checkpoint; durable when this returns, and compaction removes what was stored.
    pub async fn remove(&self, key: &str) -> Result<(), PublishError> {
        self.publisher.publish(Topic::Checkpoints, &format!("{}/{key}", self.owner), Vec::new()).await?;
        self.values.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        Ok(())
    }

    /// Stores a checkpoint; durable when this returns.
    pub async fn save<T: Serialize>(&self, key: &str, value: &T) -> Result<(), PublishError> {
        let payload = serde_json::to_vec(value).map_err(|error| PublishError::Unserialisable {
            topic: Topic::Checkpoints.as_str().to_owned(),
            problem: error.to_string(),
        })?;
        self.publisher.publish(Topic::Checkpoints, &format!("{}/{key}", self.owner), payload.clone()).await?;
        self.values.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), payload);
        Ok(())
    }
}
