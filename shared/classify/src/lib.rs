//! From a text to what it is about, how urgent it is, and why: in any of its languages, offline, at stream speed.
//!
//! [`Classifier::classify`] is a pure function: the same [`Input`] and the same version give the same bytes. It costs one
//! pass to fold the text, one over its first words to tell the language, and one of an Aho-Corasick automaton that holds
//! every entry of that language's lexicon; all linear in the length of the text, none of them able to fail.
//!
//! What it knows stands in `lexicons/`, one file per language, with a page for those who know customers and not code.
//! [`model`] learns from a user's own labels: levels below the category, or any axis. Brands' own words are for later.

mod amount;
mod classifier;
mod compile;
mod evidence;
mod fold;
mod input;
mod language;
mod letters;
mod lexicon;
mod marks;
pub mod model;
mod scan;
mod score;
mod signals;

pub use classifier::{Classifier, Scratch};
pub use input::{Circumstances, Input};
pub use lexicon::LexiconError;
