//! What is made durable: a record for a topic, or a dead letter. In the spool it is bytes.

use bytes::{BufMut, Bytes};
use outcry_domain::DeadLetter;
use outcry_kafka::Topic;

/// No parcel is larger. A body of 256 KB that is all control characters becomes six times as much JSON, a few times over.
pub const MAX_PARCEL_BYTES: usize = 8 * 1024 * 1024;

/// A record on its way to Kafka.
#[derive(Clone, Debug, PartialEq)]
pub enum Parcel {
    /// A record for a topic.
    Record {
        /// The topic.
        topic: Topic,
        /// Its key.
        key: String,
        /// Its value.
        payload: Bytes,
    },
    /// A webhook that could not be used, as it came.
    DeadLetter {
        /// Why, and from where.
        letter: DeadLetter,
        /// The body.
        payload: Bytes,
    },
}

/// Bytes from the spool are no parcel that this version knows.
#[derive(Debug, thiserror::Error)]
#[error("not a parcel: {0}")]
pub struct NotAParcel(String);

const RECORD: u8 = 1;
const DEAD_LETTER: u8 = 2;

impl Parcel {
    /// As bytes: kind, length of the head, head, payload. The head is the topic and key, or the letter.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, head, payload) = match self {
            Self::Record { topic, key, payload } => {
                (RECORD, format!("{}\n{key}", topic.as_str()).into_bytes(), payload)
            }
            Self::DeadLetter { letter, payload } => {
                (DEAD_LETTER, serde_json::to_vec(letter).unwrap_or_else(|_| b"{}".to_vec()), payload)
            }
        };
        let mut bytes = Vec::with_capacity(5 + head.len() + payload.len());
        bytes.put_u8(kind);
        bytes.put_u32_le(u32::try_from(head.len()).unwrap_or(u32::MAX));
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(payload);
        bytes
    }

    /// From [`Parcel::encode`]'s bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotAParcel> {
        let broken = |what: &str| NotAParcel(what.to_owned());
        let (kind, rest) = bytes.split_first().ok_or_else(|| broken("empty"))?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(|| broken("cut short"))?;
        let (head, payload) =
            rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(|| broken("cut short"))?;
        let payload = Bytes::copy_from_slice(payload);
        match *kind {
            RECORD => {
                let head = std::str::from_utf8(head).map_err(|_| broken("a key that is not text"))?;
                let (topic, key) = head.split_once('\n').ok_or_else(|| broken("no topic"))?;
                let known = Topic::ALL.into_iter().find(|known| known.as_str() == topic);
                let topic = known.ok_or_else(|| broken("an unknown topic; was it written by a newer version?"))?;
                Ok(Self::Record { topic, key: key.to_owned(), payload })
            }
            DEAD_LETTER => {
                let letter = serde_json::from_slice(head).map_err(|error| NotAParcel(error.to_string()))?;
                Ok(Self::DeadLetter { letter, payload })
            }
            _ => Err(broken("an unknown kind; was it written by a newer version?")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outcry_domain::Timestamp;

    #[test]
    fn a_parcel_reads_back_as_it_was_written() {
        let record =
            Parcel::Record { topic: Topic::ItemsRaw, key: "k\n1".into(), payload: Bytes::from_static(b"\0\xff") };
        assert_eq!(Parcel::decode(&record.encode()).unwrap(), record);
        let letter = DeadLetter {
            service: "phone-connector".into(),
            reason: "undecodable".into(),
            detail: "no call_id".into(),
            origin: "phone:main".into(),
            partition: -1,
            offset: -1,
            received_at: Timestamp::from_seconds(1),
            refused_at: Timestamp::from_seconds(2),
        };
        let letter = Parcel::DeadLetter { letter, payload: Bytes::from_static(b"{") };
        assert_eq!(Parcel::decode(&letter.encode()).unwrap(), letter);
    }

    #[test]
    fn bytes_that_are_no_parcel_are_refused_in_words() {
        for bytes in
            [&b""[..], b"\x01", b"\x01\xff\xff\xff\xff", b"\x09\0\0\0\0", b"\x01\x02\0\0\0x\n", b"\x02\0\0\0\0"]
        {
            assert!(Parcel::decode(bytes).is_err(), "{bytes:?}");
        }
    }
}
