//! One record: raw bytes in, classified bytes out. Pure.

use outcry_classify::{
    Classifier, Input, Scratch,
    model::{self, Model},
};
use outcry_domain::{
    Classification, Item, SCHEMA_VERSION,
    schema::{describe_json_error, stated_version},
};

/// What gives labels.
#[derive(Debug)]
pub struct Labeller {
    /// Rules and lexicons.
    pub classifier: Classifier,
    /// A model trained on the user's own labels.
    pub model: Option<Model>,
}

impl Labeller {
    /// What stands as `classifier_version` on what it labels.
    pub fn version(&self) -> String {
        let suffix = self.model.as_ref().map(Model::version_suffix).unwrap_or_default();
        format!("{}{suffix}", self.classifier.version())
    }
}

/// Room that is used again from record to record.
#[derive(Debug, Default)]
pub struct Room {
    rules: Scratch,
    model: model::Room,
}

/// Why a record gave no output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not an item, and never will be.
    Undecodable(String),
    /// A newer producer wrote it.
    UnknownVersion(u16),
}

/// Appends `{"item":…,"classification":…}` to `out`, with the item as it came, to the byte.
pub fn classify_record<'a>(
    labeller: &Labeller,
    room: &mut Room,
    languages: impl Fn(&str) -> &'a [String],
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<Classification, Refusal> {
    let item: Item = match serde_json::from_slice(payload) {
        Ok(item) => item,
        Err(error) => {
            return Err(match stated_version(payload) {
                Some(version) if version != SCHEMA_VERSION => Refusal::UnknownVersion(version),
                _ => Refusal::Undecodable(describe_json_error(&error)),
            });
        }
    };
    if !item.version_is_known() {
        return Err(Refusal::UnknownVersion(item.schema_version));
    }
    let input = Input::of_item(&item, languages(&item.brand));
    let mut classification = labeller.classifier.classify_with(&input, &mut room.rules);
    if let Some(model) = &labeller.model {
        model.speak(&input, &mut classification, &mut room.model);
    }
    out.extend_from_slice(b"{\"item\":");
    out.extend_from_slice(payload);
    out.extend_from_slice(b",\"classification\":");
    serde_json::to_writer(&mut *out, &classification)
        .map_err(|error| Refusal::Undecodable(format!("its classification cannot be written: {error}")))?;
    out.push(b'}');
    Ok(classification)
}

#[cfg(test)]
mod tests {
    use super::*;
    use outcry_classify::model::{DataCard, Example, Plan, train};
    use outcry_domain::ClassifiedItem;
    use serde_json::{Value, json};

    fn item() -> Value {
        let id = "00000000-0000-0000-0000-000000000001";
        json!({
            "schema_version": 1, "item_id": id, "contact_id": id, "case_id": id, "revision": 0, "brand": "acme",
            "channel": "email", "source": "email:support", "provider": "imap", "direction": "inbound",
            "author_kind": "human", "customer": { "customer_id": id },
            "subject": "Parcel", "text": "My parcel never arrived and nobody answers. I want my money back!",
            "occurred_at": "2026-03-01T09:00:00Z", "received_at": "2026-03-01T09:00:01Z",
            "ingested_at": "2026-03-01T09:00:02Z", "effective_at": "2026-03-01T09:00:01Z",
            "origin": { "connector": "test", "raw_size": 1, "raw_sha256": "" }
        })
    }

    fn classify(payload: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut out = Vec::new();
        let labeller = Labeller { classifier: Classifier::builtin(), model: None };
        classify_record(&labeller, &mut Room::default(), |_| &[], payload, &mut out).map(|_| out)
    }

    #[test]
    fn the_item_is_passed_on_to_the_byte_with_fields_nobody_knows() {
        let mut item = item();
        item["from_the_future"] = json!({ "kept": true });
        let payload = serde_json::to_vec(&item).unwrap();
        let out = classify(&payload).unwrap();
        assert!(out.windows(payload.len()).any(|window| window == payload));
        let read: ClassifiedItem = serde_json::from_slice(&out).unwrap();
        assert_eq!(read.item.unknown_fields["from_the_future"], json!({ "kept": true }));
        assert_eq!(read.classification.kind.label.as_str(), "complaint");
    }

    #[test]
    fn the_same_bytes_give_the_same_bytes() {
        let payload = serde_json::to_vec(&item()).unwrap();
        assert_eq!(classify(&payload), classify(&payload));
    }

    #[test]
    fn a_model_has_its_word_in_every_classification() {
        let texts: Vec<String> = (0..60)
            .map(|number| match number % 2 {
                0 => format!("my parcel number {number} never arrived, where is the courier"),
                _ => format!("the app shows error {number} when I log in with my password"),
            })
            .collect();
        let label = |number: usize| ["lost_parcel", "login"][number % 2];
        let examples: Vec<Example<'_>> = texts
            .iter()
            .enumerate()
            .map(|(number, text)| Example { subject: "", text, label: label(number) })
            .collect();
        let plan = Plan {
            axis: "subcategory".into(),
            trained_on: String::new(),
            data: DataCard::default(),
            review_below: None,
            threads: 1,
        };
        let model = Model::open(train(&examples, plan, &|_, _| {}).unwrap().bytes).unwrap();
        let suffix = model.version_suffix();
        let labeller = Labeller { classifier: Classifier::builtin(), model: Some(model) };
        let payload = serde_json::to_vec(&item()).unwrap();
        let mut out = Vec::new();
        let said = classify_record(&labeller, &mut Room::default(), |_| &[], &payload, &mut out).unwrap();
        assert_eq!(said.subcategory.as_ref().map(|scored| scored.label.as_str()), Some("lost_parcel"));
        assert!(said.classifier_version.ends_with(&suffix), "{}", said.classifier_version);
        assert!(said.evidence.iter().any(|evidence| evidence.axis == "subcategory"), "{:?}", said.evidence);
        let read: ClassifiedItem = serde_json::from_slice(&out).unwrap();
        assert_eq!(read.classification, said);
    }

    #[test]
    fn what_is_no_item_is_told_from_what_is_newer() {
        let mut newer = item();
        newer["schema_version"] = json!(2);
        assert_eq!(classify(&serde_json::to_vec(&newer).unwrap()), Err(Refusal::UnknownVersion(2)));
        assert_eq!(classify(br#"{"schema_version":3}"#), Err(Refusal::UnknownVersion(3)));
        for rubbish in [&b""[..], b"nonsense", b"{}", b"[3]", b"\xff", br#"{"schema_version":1,"text":"\ud800"}"#] {
            assert!(matches!(classify(rubbish), Err(Refusal::Undecodable(_))), "{rubbish:?}");
        }
    }
}
