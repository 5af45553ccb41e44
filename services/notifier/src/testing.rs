//! What the tests of this crate share.

use outcry_domain::{
    AuthorKind, Brand, CaseId, Channel, Classification, ClassifiedItem, ContactId, CustomerKey, Direction, Item,
    ItemId, Mail, Origin, SCHEMA_VERSION, Timestamp,
    classification::{Category, Kind, Scored, Sentiment, Urgency},
};

pub(crate) fn now() -> Timestamp {
    Timestamp::from_seconds(1_772_355_600)
}

pub(crate) fn brand() -> Brand {
    serde_json::from_str(
        r#"{"id":"acme","name":"Acme","languages":["it"],"own_domains":["acme.example"],
            "targets":{"normal":{"acknowledge_minutes":60,"respond_minutes":180}}}"#,
    )
    .unwrap()
}

/// A customer's first mail, a minute old.
pub(crate) fn classified() -> ClassifiedItem {
    let customer = CustomerKey::new(b"k").email("ana@shop.example", Some("Ana"));
    let at = now().minus(std::time::Duration::from_secs(60));
    let certain = |label| Scored { label, confidence: 0.9 };
    ClassifiedItem {
        item: Item {
            schema_version: SCHEMA_VERSION,
            item_id: ItemId(1),
            contact_id: ContactId(2),
            case_id: CaseId::new("acme", b"first@shop.example", customer.customer_id),
            revision: 0,
            brand: "acme".into(),
            channel: Channel::Email,
            source: "email:support".into(),
            provider: "imap".into(),
            direction: Direction::Inbound,
            author_kind: AuthorKind::Human,
            customer,
            subject: Some("Broken parcel".into()),
            text: "My parcel came broken".into(),
            quoted_text: String::new(),
            language: None,
            occurred_at: at,
            received_at: at,
            ingested_at: at,
            effective_at: at,
            clock_suspect: false,
            mail: Some(Mail {
                message_id: "first@shop.example".into(),
                from: "ana@shop.example".into(),
                to: vec!["care@acme.example".into()],
                ..Mail::default()
            }),
            call: None,
            post: None,
            origin: Origin::default(),
            unknown_fields: serde_json::Map::new(),
        },
        classification: Classification {
            classifier_version: "test".into(),
            language: certain("en".to_owned()),
            kind: Scored { label: Kind::Complaint, confidence: 0.9 },
            category: Scored { label: Category::Delivery, confidence: 0.9 },
            secondary_categories: Vec::new(),
            subcategory: None,
            labels: Default::default(),
            urgency: Scored { label: Urgency::Normal, confidence: 0.9 },
            urgency_score: 40,
            sentiment: Scored { label: Sentiment::Negative, confidence: 0.9 },
            amounts: Vec::new(),
            needs_review: false,
            evidence: Vec::new(),
        },
    }
}
