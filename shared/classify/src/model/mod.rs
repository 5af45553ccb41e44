//! Models trained on a user's own labels: any axis, any language, offline, in seconds.
//!
//! [`train`] reads labelled texts as n-grams of words and of characters inside words, weighs them by sublinear tf-idf, and
//! finds by cross-validation which linear learner does best: support vector machines, one label against all others, or
//! multinomial logistic regression, both to convergence. The same held-out answers calibrate the confidence. What comes
//! out is one block of bytes that [`Model::open`] checks and uses where it lies; [`Model::predict`] gives label and
//! confidence, and [`Model::explain`] the words that were the reason.
//!
//! Everything here is a pure function: the same data give the same model on any number of cores, and the same text the same
//! answer.

mod bayes;
mod calibrate;
mod card;
mod clean;
mod corpus;
mod descent;
mod explain;
mod file;
mod folds;
mod grams;
mod lesson;
mod margins;
mod predict;
mod quantise;
mod random;
mod reading;
mod scores;
mod search;
mod softmax;
mod speak;
#[cfg(test)]
mod tests;
mod train;

pub use card::{Card, DataCard, DataCounts, LabelCard, MannerCard, ScoreCard, named, per_label};
pub use clean::Example;
pub use explain::Reason;
pub use file::ModelError;
pub use predict::{Model, Prediction, Room};
pub use scores::{Confusion, LabelScore};
pub use speak::REVIEW;
pub use train::{Plan, TrainError, Trained, train};
