//! What a caller posts about a case: read, checked field by field, and given its identity. Pure.

use outcry_domain::{
    CaseAction, CaseEvent, CaseId, EventId, SCHEMA_VERSION, Timestamp,
    classification::{Category, Kind, Sentiment, Urgency},
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::Duration;

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where, such as `action.score`.
    pub field: String,
    /// What is wrong, in words.
    pub reason: String,
}

const FIELDS: &[&str] = &["case_id", "brand", "occurred_at", "actor", "action"];
const MAX_TEXT_CHARS: usize = 10_000;
const MAX_NAME_CHARS: usize = 200;
/// A caller's clock may run ahead of ours by this much.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// Reads `{"case_id", "brand", "occurred_at", "actor"?, "action": {"type", …}}`.
///
/// The event's id follows from brand, case and `idempotency_key`; without a key, from the content, so that posting the
/// same event twice counts once either way.
pub fn read(
    body: &[u8],
    idempotency_key: Option<&str>,
    is_brand: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Result<CaseEvent, Vec<Problem>> {
    let fields: Map<String, Value> = match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Err(vec![problem("", "the body must be one JSON object")]),
        Err(error) => return Err(vec![problem("", format!("the body is not JSON: {error}"))]),
    };
    let mut problems: Vec<Problem> = fields
        .keys()
        .filter(|key| !FIELDS.contains(&key.as_str()))
        .map(|key| problem(key.clone(), format!("not known; there are {}", FIELDS.join(", "))))
        .collect();
    let mut checked = Checker { fields: &fields, problems: &mut problems };
    let case_id = checked.parse::<CaseId>("case_id");
    let brand = checked.text("brand", MAX_NAME_CHARS);
    let occurred_at = checked.parse::<Timestamp>("occurred_at");
    let actor = checked.optional_text("actor", MAX_NAME_CHARS);
    let action = checked.action();
    if brand.as_ref().is_some_and(|brand| !is_brand(brand)) {
        problems.push(problem("brand", "not a configured brand"));
    }
    if occurred_at.is_some_and(|at| at > now.plus(CLOCK_TOLERANCE)) {
        problems.push(problem("occurred_at", "lies in the future"));
    }
    if idempotency_key.is_some_and(|key| key.is_empty() || key.len() > MAX_NAME_CHARS) {
        problems.push(problem("Idempotency-Key", format!("must have 1 to {MAX_NAME_CHARS} characters")));
    }
    let (Some(case_id), Some(brand), Some(occurred_at), Some(action), []) =
        (case_id, brand, occurred_at, action, problems.as_slice())
    else {
        return Err(problems);
    };
    let event_id = match idempotency_key {
        Some(key) => EventId::new(&brand, case_id, key.as_bytes()),
        None => {
            let content = serde_json::json!({"occurred_at": occurred_at, "actor": actor, "action": action});
            EventId::new(&brand, case_id, content.to_string().as_bytes())
        }
    };
    Ok(CaseEvent {
        schema_version: SCHEMA_VERSION,
        event_id,
        case_id,
        brand,
        occurred_at,
        ingested_at: now,
        actor,
        action,
        unknown_fields: Map::new(),
    })
}

fn problem(field: impl Into<String>, reason: impl Into<String>) -> Problem {
    Problem { field: field.into(), reason: reason.into() }
}

struct Checker<'a> {
    fields: &'a Map<String, Value>,
    problems: &'a mut Vec<Problem>,
}

impl Checker<'_> {
    fn optional_text(&mut self, field: &str, max_chars: usize) -> Option<String> {
        match self.fields.get(field) {
            None | Some(Value::Null) => None,
            Some(_) => self.text(field, max_chars),
        }
    }

    fn text(&mut self, field: &str, max_chars: usize) -> Option<String> {
        let reason = match self.fields.get(field) {
            None | Some(Value::Null) => "missing".to_owned(),
            Some(Value::String(text)) if text.trim().is_empty() => "empty".to_owned(),
            Some(Value::String(text)) if text.chars().count() > max_chars => {
                format!("longer than {max_chars} characters")
            }
            Some(Value::String(text)) => return Some(text.clone()),
            Some(_) => "must be text".to_owned(),
        };
        self.problems.push(problem(field, reason));
        None
    }

    fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self, field: &str) -> Option<T> {
        let text = self.text(field, MAX_NAME_CHARS)?;
        text.parse().map_err(|error: T::Err| self.problems.push(problem(field, error.to_string()))).ok()
    }

    fn action(&mut self) -> Option<CaseAction> {
        let Some(value @ Value::Object(_)) = self.fields.get("action") else {
            self.problems.push(problem("action", "missing, or not an object with a \"type\""));
            return None;
        };
        match serde_json::from_value::<CaseAction>(value.clone()) {
            Ok(action) => {
                let before = self.problems.len();
                self.check_action(&action);
                (self.problems.len() == before).then_some(action)
            }
            Err(error) => {
                self.problems.push(problem("action", error.to_string()));
                None
            }
        }
    }

    fn check_action(&mut self, action: &CaseAction) {
        match action {
            CaseAction::Commitment { text, .. } | CaseAction::PreventionIdea { text } => {
                self.check_text("action.text", text);
            }
            CaseAction::Solved { resolution: Some(text) } => self.check_text("action.resolution", text),
            CaseAction::FollowUp { text: Some(text) } => self.check_text("action.text", text),
            CaseAction::Compensation { value, currency } => {
                if !is_decimal(value) {
                    self.problems.push(problem("action.value", "must be a decimal such as 12.50"));
                }
                if currency.len() != 3 || !currency.bytes().all(|letter| letter.is_ascii_uppercase()) {
                    self.problems.push(problem("action.currency", "must be an ISO 4217 code such as EUR"));
                }
            }
            CaseAction::Satisfaction { score } if !(1..=5).contains(score) => {
                self.problems.push(problem("action.score", "must be 1 to 5"));
            }
            CaseAction::LabelCorrection { axis, label, .. } => self.check_label(axis, label),
            CaseAction::CustomerLink { customer_id, same_as } | CaseAction::CustomerUnlink { customer_id, same_as }
                if customer_id == same_as =>
            {
                self.problems.push(problem("action.same_as", "is the same customer"));
            }
            _ => {}
        }
    }

    fn check_text(&mut self, field: &str, text: &str) {
        if text.trim().is_empty() {
            self.problems.push(problem(field, "empty"));
        } else if text.chars().count() > MAX_TEXT_CHARS {
            self.problems.push(problem(field, format!("longer than {MAX_TEXT_CHARS} characters")));
        }
    }

    /// A label of a fixed axis must exist; level 2 and custom axes are the brand's own words.
    fn check_label(&mut self, axis: &str, label: &str) {
        let known = match axis {
            "kind" => Kind::from_name(label).is_some(),
            "category" => Category::from_name(label).is_some(),
            "urgency" => Urgency::from_name(label).is_some(),
            "sentiment" => Sentiment::from_name(label).is_some(),
            _ => !label.trim().is_empty() && label.chars().count() <= MAX_NAME_CHARS,
        };
        if axis.trim().is_empty() || axis.chars().count() > MAX_NAME_CHARS {
            self.problems.push(problem("action.axis", "empty or too long"));
        } else if !known {
            self.problems.push(problem("action.label", format!("not a label of {axis}")));
        }
    }
}

fn is_decimal(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits =
        |part: &str, most: usize| (1..=most).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit());
    digits(whole, 12) && digits(fraction, 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-03-01T10:00:00Z".parse().unwrap()
    }

    fn valid() -> Value {
        json!({"case_id": "0123456789abcdef0123456789abcdef", "brand": "acme", "occurred_at": "2026-03-01T09:00:00Z",
            "actor": "rosa", "action": {"type": "solved", "resolution": "refunded"}})
    }

    fn read_it(body: &Value, key: Option<&str>) -> Result<CaseEvent, Vec<Problem>> {
        read(body.to_string().as_bytes(), key, |brand| brand == "acme", now())
    }

    /// The fields complained of when `change` is made to a valid body.
    fn fields(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut body = valid();
        change(&mut body);
        read_it(&body, None).err().unwrap_or_default().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn a_valid_event_is_read() {
        let event = read_it(&valid(), None).unwrap();
        assert_eq!((event.brand.as_str(), event.action.as_str()), ("acme", "solved"));
        assert_eq!((event.actor.as_deref(), event.ingested_at), (Some("rosa"), now()));
    }

    #[test]
    fn the_same_key_is_the_same_event_and_so_is_the_same_content() {
        let mut other = valid();
        other["actor"] = json!("ugo");
        assert_eq!(read_it(&valid(), Some("k")).unwrap().event_id, read_it(&other, Some("k")).unwrap().event_id);
        assert_eq!(read_it(&valid(), None).unwrap().event_id, read_it(&valid(), None).unwrap().event_id);
        assert_ne!(read_it(&valid(), None).unwrap().event_id, read_it(&other, None).unwrap().event_id);
    }

    #[test]
    fn every_wrong_field_is_named() {
        assert_eq!(fields(|body| body["case_id"] = json!("xyz")), ["case_id"]);
        assert_eq!(fields(|body| body["brand"] = json!("other")), ["brand"]);
        assert_eq!(fields(|body| body["occurred_at"] = json!("yesterday")), ["occurred_at"]);
        assert_eq!(fields(|body| body["occurred_at"] = json!("2027-01-01T00:00:00Z")), ["occurred_at"]);
        assert_eq!(fields(|body| body["actor"] = json!(7)), ["actor"]);
        assert_eq!(fields(|body| body["extra"] = json!(1)), ["extra"]);
        assert_eq!(fields(|body| body["action"] = json!({"type": "exploded"})), ["action"]);
        assert_eq!(fields(|body| *body = json!({})), ["case_id", "brand", "occurred_at", "action"]);
    }

    #[test]
    fn every_action_is_checked() {
        let of = |action: Value| fields(|body| body["action"] = action);
        assert_eq!(of(json!({"type": "satisfaction", "score": 6})), ["action.score"]);
        assert_eq!(
            of(json!({"type": "compensation", "value": "ten", "currency": "eur"})),
            ["action.value", "action.currency"]
        );
        assert_eq!(of(json!({"type": "compensation", "value": "10.50", "currency": "EUR"})), Vec::<String>::new());
        assert_eq!(of(json!({"type": "commitment", "text": " "})), ["action.text"]);
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(
            of(json!({"type": "label_correction", "contact_id": id, "axis": "kind", "label": "rant"})),
            ["action.label"]
        );
        assert_eq!(of(json!({"type": "customer_link", "customer_id": id, "same_as": id})), ["action.same_as"]);
        assert_eq!(of(json!({"type": "taken"})), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_json_says_so() {
        for body in [&b""[..], b"{", b"[]", b"\xff", b"{\"a\":\"\\ud800\"}"] {
            assert_eq!(read(body, None, |_| true, now()).unwrap_err()[0].field, "");
        }
    }
}
