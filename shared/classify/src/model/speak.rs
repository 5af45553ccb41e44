//! A model's word in a classification.

use super::predict::{Model, Room};
use crate::input::Input;
use outcry_domain::classification::{Category, Classification, Evidence, Kind, Scored, Sentiment};

/// What stands in the place of a label that the model is too unsure of.
pub const REVIEW: &str = "review";

/// The labels of an axis that has labels of its own.
pub(crate) fn fixed_labels(axis: &str) -> Option<Vec<&'static str>> {
    match axis {
        "kind" => Some(Kind::ALL.iter().map(|label| label.as_str()).collect()),
        "category" => Some(Category::ALL.iter().map(|label| label.as_str()).collect()),
        "sentiment" => Some(Sentiment::ALL.iter().map(|label| label.as_str()).collect()),
        _ => None,
    }
}

impl Model {
    /// What stands in the version of every classification that this model had a word in: `+model.1a2b3c4d`.
    pub fn version_suffix(&self) -> String {
        format!("+model.{}", self.hash())
    }

    /// Adds the model's label, its confidence and the reasons. An unsure model says `review` on an axis of its own, and
    /// leaves what the rules said on theirs; either way the item is marked for review. The brand's own words have no
    /// such label.
    pub fn speak(&self, input: &Input, classification: &mut Classification, room: &mut Room) {
        classification.classifier_version.push_str(&self.version_suffix());
        if classification.kind.label == Kind::Own {
            return;
        }
        let prediction = self.predict(input.subject, input.text, room);
        let label = self.label(prediction.label);
        let confidence = (prediction.confidence * 1e4).round() / 1e4;
        let axis = self.card().axis.as_str();
        classification.needs_review |= prediction.needs_review;
        let spoken = Scored { label: if prediction.needs_review { REVIEW } else { label }.to_owned(), confidence };
        match axis {
            "kind" | "category" | "sentiment" if prediction.needs_review => return,
            "kind" => override_label(&mut classification.kind, Kind::from_name(label), confidence),
            "category" => {
                override_label(&mut classification.category, Category::from_name(label), confidence);
                let primary = classification.category.label;
                classification.secondary_categories.retain(|secondary| secondary.label != primary);
            }
            "sentiment" => override_label(&mut classification.sentiment, Sentiment::from_name(label), confidence),
            "subcategory" => classification.subcategory = Some(spoken),
            _ => {
                classification.labels.insert(axis.to_owned(), spoken);
            }
        }
        if prediction.needs_review {
            return;
        }
        // The rules' reasons for another label are no reasons any more.
        if axis != "category" {
            classification.evidence.retain(|evidence| evidence.axis != axis);
        }
        let reasons = self.explain(input.subject, prediction.label, room).into_iter().map(|reason| Evidence {
            axis: axis.to_owned(),
            label: label.to_owned(),
            field: reason.field,
            start: reason.start,
            end: reason.end,
            signal: "model".to_owned(),
            weight: reason.weight,
        });
        classification.evidence.extend(reasons);
    }
}

fn override_label<T>(scored: &mut Scored<T>, label: Option<T>, confidence: f32) {
    // The names were checked when the model was opened.
    if let Some(label) = label {
        *scored = Scored { label, confidence };
    }
}
