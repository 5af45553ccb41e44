//! The classifier: lexicons in, classifications out.

use crate::amount::{self, FoundAmount};
use crate::compile::{Compiler, Matcher};
use crate::evidence;
use crate::fold::Folded;
use crate::input::Input;
use crate::language::Detector;
use crate::lexicon::{BUILTIN, LANGUAGE_WORDS, Lexicon, LexiconError, SIGNALS};
use crate::scan::Scan;
use crate::score::{self, Sums};
use crate::signals::Signals;
use outcry_domain::classification::{Category, Classification, Kind, Scored};

/// Version of the taxonomy: the labels and what they mean.
const TAXONOMY: u32 = 1;
/// Below this a category or a kind is a guess that a person should look at.
const REVIEW_BELOW: f32 = 0.35;

/// Tells what texts are about. Build it once; it can be shared by threads.
#[derive(Debug)]
pub struct Classifier {
    version: String,
    detector: Detector,
    signals: Signals,
    /// By language; English serves for all languages without a lexicon.
    matchers: Vec<(String, Matcher)>,
    english: usize,
}

/// Room that one thread uses again from text to text.
#[derive(Debug, Default)]
pub struct Scratch {
    folded: Folded,
    scan: Scan,
    amounts: Vec<FoundAmount>,
}

impl Classifier {
    /// The classifier with the lexicons of this release.
    pub fn builtin() -> Self {
        #[expect(
            clippy::expect_used,
            reason = "the lexicons are part of the binary and a test compiles every one of them"
        )]
        Self::from_sources(BUILTIN, LANGUAGE_WORDS, SIGNALS).expect("the built-in lexicons compile")
    }

    fn from_sources(lexicons: &[(&str, &str)], languages: &str, signals: &str) -> Result<Self, LexiconError> {
        let parsed: Vec<Lexicon> =
            lexicons.iter().map(|(name, source)| Lexicon::parse(name, source)).collect::<Result<_, _>>()?;
        let signals = Signals::parse(signals)?;
        let mut matchers = Vec::new();
        let (shared, own): (Vec<_>, Vec<_>) = parsed.iter().partition(|lexicon| lexicon.language == "*");
        for lexicon in &own {
            let mut compiler = Compiler::new(&signals);
            compiler.add(lexicon)?;
            for shared in &shared {
                compiler.add(shared)?;
            }
            for english in own.iter().filter(|other| other.language == "en" && lexicon.language != "en") {
                compiler.borrow(english)?;
            }
            let reach = lexicon.negation.reach * lexicon.bytes_per_character();
            matchers.push((lexicon.language.clone(), compiler.finish(&lexicon.language, reach)?));
        }
        let english = matchers.iter().position(|(language, _)| language == "en").unwrap_or(0);
        let sources = lexicons.iter().map(|(_, source)| *source).chain([languages, SIGNALS]);
        let version = format!("{}+t{TAXONOMY}+rules.{:08x}", env!("CARGO_PKG_VERSION"), fingerprint(sources));
        Ok(Self { version, detector: Detector::parse(languages)?, signals, matchers, english })
    }

    /// Release, taxonomy and rules: what stands on every classification, as `0.1.0+t1+rules.1a2b3c4d`. The last part
    /// changes with every word of a lexicon.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The same classifier under another release's name.
    #[must_use]
    pub fn with_release(mut self, release: &str) -> Self {
        if let Some((_, rest)) = self.version.split_once('+') {
            self.version = format!("{release}+{rest}");
        }
        self
    }

    /// Says what a text is about. For many texts see [`Classifier::classify_with`].
    pub fn classify(&self, input: &Input) -> Classification {
        self.classify_with(input, &mut Scratch::default())
    }

    /// The same, in room that was used before.
    pub fn classify_with(&self, input: &Input, scratch: &mut Scratch) -> Classification {
        let Scratch { folded, scan, amounts } = scratch;
        folded.fold(input.subject, input.text);
        let original = if input.text.is_empty() { input.subject } else { input.text };
        let detected = self.detector.detect(folded, original, input.language_hint, input.brand_languages);
        let matcher = self.matcher(detected.language);
        scan.run(matcher, folded);
        amounts.clear();
        amount::find(input.text, detected.language, amounts);

        let sums = Sums::of(&scan.found, &self.signals, folded);
        let kind = score::kind(&sums, input);
        let (category, secondary_categories) = score::categories(&sums);
        let (urgency, urgency_score, silent) = score::urgency(&scan.found, &self.signals, &sums, kind.label, input);
        let mut classification = Classification {
            classifier_version: self.version.clone(),
            language: Scored {
                label: detected.language.to_owned(),
                confidence: (detected.confidence.clamp(0.0, 1.0) * 1000.0).round() / 1000.0,
            },
            kind,
            category,
            secondary_categories,
            subcategory: None,
            labels: Default::default(),
            urgency,
            urgency_score,
            sentiment: score::sentiment(&sums, kind.label),
            amounts: amounts.iter().map(|found| found.amount.clone()).collect(),
            needs_review: needs_review(kind, category),
            evidence: Vec::new(),
        };
        classification.evidence = evidence::collect(
            &evidence::Sources {
                matcher,
                signals: &self.signals,
                folded,
                found: &scan.found,
                silent: &silent,
                amounts,
            },
            &classification,
        );
        classification
    }

    fn matcher(&self, language: &str) -> &Matcher {
        let own = self.matchers.iter().position(|(known, _)| known == language);
        &self.matchers[own.unwrap_or(self.english)].1
    }
}

fn needs_review(kind: Scored<Kind>, category: Scored<Category>) -> bool {
    let needs_category = matches!(kind.label, Kind::Complaint | Kind::Question | Kind::Request);
    kind.confidence < REVIEW_BELOW || (needs_category && category.confidence < REVIEW_BELOW)
}

/// FNV-1a over the sources: changes when a word does.
fn fingerprint<'a>(sources: impl Iterator<Item = &'a str>) -> u32 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in sources.flat_map(|source| source.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (hash >> 32) as u32 ^ hash as u32
}
