//! A topic's lasting id: a topic that was deleted and created again has another, and its offsets start over.
//!
//! librdkafka can tell it (DescribeTopics) but the Rust wrapper cannot yet ask, so this speaks to the C library.

use crate::{KafkaConfig, KafkaError};
use rdkafka::{admin::AdminClient, client::DefaultClientContext};
use rdkafka_sys as sys;
use std::{
    collections::HashMap,
    ffi::{CStr, CString},
    ptr::NonNull,
};

/// The broker's id of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopicId(pub u128);

const TIMEOUT_SECONDS: u64 = 20;

/// The ids of the topics of these full names; one that does not exist is an error.
pub async fn topic_ids(config: &KafkaConfig, names: &[String]) -> Result<HashMap<String, TopicId>, KafkaError> {
    let (config, names) = (config.clone(), names.to_vec());
    let timeout = KafkaError::Timeout {
        doing: "asking for topic ids".into(),
        brokers: config.bootstrap_servers.clone(),
        seconds: TIMEOUT_SECONDS,
    };
    tokio::task::spawn_blocking(move || describe(&config, &names)).await.unwrap_or(Err(timeout))
}

/// Frees what the C library gave, whatever way the function is left.
struct Owned<T>(NonNull<T>, unsafe extern "C" fn(*mut T));

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the library with this destructor, and is freed once.
        unsafe { (self.1)(self.0.as_ptr()) }
    }
}

fn describe(config: &KafkaConfig, names: &[String]) -> Result<HashMap<String, TopicId>, KafkaError> {
    let no_answer = |doing: &str| KafkaError::Timeout {
        doing: doing.to_owned(),
        brokers: config.bootstrap_servers.clone(),
        seconds: TIMEOUT_SECONDS,
    };
    let client: AdminClient<DefaultClientContext> =
        config.client("admin").create().map_err(|source| config.error("making an admin client", source))?;
    let c_names: Vec<CString> = names.iter().filter_map(|name| CString::new(name.as_str()).ok()).collect();
    let mut pointers: Vec<_> = c_names.iter().map(|name| name.as_ptr()).collect();
    let rk = client.inner().native_ptr();
    // SAFETY: `rk` lives as long as `client`, which outlives every pointer made here; each pointer that the library gives
    // is owned by a guard or borrowed from the event, which is freed last; counts come from the library.
    unsafe {
        let collection = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let collection = NonNull::new(collection).ok_or_else(|| no_answer("naming topics"))?;
        let collection = Owned(collection, sys::rd_kafka_TopicCollection_destroy);
        let queue = NonNull::new(sys::rd_kafka_queue_new(rk)).ok_or_else(|| no_answer("opening a queue"))?;
        let queue = Owned(queue, sys::rd_kafka_queue_destroy);
        sys::rd_kafka_DescribeTopics(rk, collection.0.as_ptr(), std::ptr::null(), queue.0.as_ptr());
        let event = sys::rd_kafka_queue_poll(queue.0.as_ptr(), TIMEOUT_SECONDS as i32 * 1000);
        let event =
            Owned(NonNull::new(event).ok_or_else(|| no_answer("asking for topic ids"))?, sys::rd_kafka_event_destroy);
        let code = sys::rd_kafka_event_error(event.0.as_ptr());
        if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(config.error("asking for topic ids", rdkafka::error::KafkaError::AdminOp(code.into())));
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event.0.as_ptr());
        let mut count = 0usize;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        let mut ids = HashMap::new();
        for index in 0..count {
            let topic = *topics.add(index);
            let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic)).to_string_lossy().into_owned();
            let error = sys::rd_kafka_TopicDescription_error(topic);
            let code = if error.is_null() {
                sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
            } else {
                sys::rd_kafka_error_code(error)
            };
            if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(KafkaError::MissingTopic { topic: name, brokers: config.bootstrap_servers.clone() });
            }
            let uuid = sys::rd_kafka_TopicDescription_topic_id(topic);
            let high = sys::rd_kafka_Uuid_most_significant_bits(uuid) as u64;
            let low = sys::rd_kafka_Uuid_least_significant_bits(uuid) as u64;
            ids.insert(name, TopicId((u128::from(high) << 64) | u128::from(low)));
        }
        Ok(ids)
    }
}
