//! A model from end to end, on letters written for it.

use super::random::Random;
use super::*;
use crate::input::Input;
use crate::{Classifier, Scratch};
use outcry_domain::classification::Field;
use sha2::{Digest, Sha256};

const SAYINGS: [(&str, &[&str]); 3] = [
    (
        "delivery",
        &[
            "my parcel never arrived",
            "the courier left it in the rain",
            "tracking has not moved",
            "it was sent to the wrong door",
        ],
    ),
    (
        "billing",
        &[
            "I was charged twice",
            "the invoice has the wrong amount",
            "you took money from my card",
            "the fee was never agreed",
        ],
    ),
    (
        "login",
        &[
            "the app does not let me sign in",
            "my password is refused",
            "no code reaches my phone",
            "my account is locked",
        ],
    ),
];
const FRAMES: [(&str, &str); 6] = [
    ("Hello,", "please help."),
    ("Since last week", "and nobody answers."),
    ("To whom it may concern:", "Regards, a customer"),
    ("Again", "!!!"),
    ("", "what can I do?"),
    ("I wrote before that", "and I am tired of it."),
];

/// Letters about three things; every fifth speaks of a second thing as well.
fn letters(count: usize) -> Vec<(String, &'static str)> {
    let mut random = Random::new(7);
    (0..count)
        .map(|number| {
            let (label, sayings) = SAYINGS[number % 3];
            let (before, after) = FRAMES[random.below(FRAMES.len())];
            let mut text = format!("{before} {} {after}", sayings[random.below(sayings.len())]);
            if number % 5 == 0 {
                text += &format!(" By the way, {}.", sayings[random.below(sayings.len())]);
            }
            (format!("{text} Reference {}", random.below(100_000)), label)
        })
        .collect()
}

fn plan(axis: &str, threads: usize) -> Plan {
    let data = DataCard { file: "letters.csv".into(), ..DataCard::default() };
    Plan { axis: axis.into(), trained_on: "2026-11-26".into(), data, review_below: None, threads }
}

fn taught(letters: &[(String, &'static str)], axis: &str, threads: usize) -> Result<Trained, TrainError> {
    let examples: Vec<Example<'_>> = letters.iter().map(|(text, label)| Example { subject: "", text, label }).collect();
    train(&examples, plan(axis, threads), &|_, _| {})
}

fn model() -> Model {
    Model::open(taught(&letters(240), "queue", 2).unwrap().bytes).unwrap()
}

fn reason(examples: &[(&str, &str)], axis: &str) -> TrainError {
    let examples: Vec<Example<'_>> =
        examples.iter().map(|(text, label)| Example { subject: "", text, label }).collect();
    train(&examples, plan(axis, 1), &|_, _| {}).unwrap_err()
}

#[test]
fn it_learns_and_its_card_says_how_well() {
    let trained = taught(&letters(240), "queue", 2).unwrap();
    let model = Model::open(trained.bytes).unwrap();
    assert_eq!(model.card(), &trained.card);
    assert_eq!(model.card().labels, ["billing", "delivery", "login"]);
    let scores = &model.card().scores;
    assert!(scores.accuracy > 0.9 && scores.macro_f1 > 0.9, "{scores:?}");
    assert_eq!(scores.per_label.values().map(|label| label.support).sum::<u64>(), 240);
    assert_eq!(scores.confusion.values().flat_map(|row| row.values()).sum::<u64>(), 240);
    let mut room = Room::default();
    for (text, label) in [
        ("the courier says my parcel arrived, it never did", "delivery"),
        ("SIGN IN is refused, the app wants a code", "login"),
        ("charged again, wrong amount on the invoice", "billing"),
    ] {
        let prediction = model.predict("", text, &mut room);
        assert_eq!(model.label(prediction.label), label, "{text}");
    }
}

#[test]
fn the_same_data_give_the_same_bytes_on_any_number_of_cores() {
    let letters = letters(120);
    let once = taught(&letters, "queue", 1).unwrap();
    let again = taught(&letters, "queue", 3).unwrap();
    assert!(once.bytes == again.bytes);
    let examples: Vec<Example<'_>> = letters.iter().map(|(text, label)| Example { subject: "", text, label }).collect();
    let tomorrow = Plan { trained_on: "2026-11-27".into(), ..plan("queue", 1) };
    let later = Model::open(train(&examples, tomorrow, &|_, _| {}).unwrap().bytes).unwrap();
    assert_eq!(later.hash(), Model::open(once.bytes).unwrap().hash(), "the date decides no answer");
    assert_ne!(later.hash(), model().hash());
}

#[test]
fn what_nothing_is_known_of_is_for_review() {
    let model = model();
    let mut room = Room::default();
    for text in ["", "   ", "\0\u{200d}", "日本語", "𐍈𐍈𐍈"] {
        let prediction = model.predict("", text, &mut room);
        assert!(prediction.needs_review && prediction.confidence < 0.5, "{text:?}: {prediction:?}");
    }
}

#[test]
fn odd_and_endless_texts_have_an_answer() {
    let model = model();
    let mut room = Room::default();
    for text in [
        "a".repeat(1 << 20),
        "my parcel ".repeat(1 << 17),
        "😀".repeat(1 << 18),
        "ｶﾞ漢字 \u{202e}abc <br>&amp; ".repeat(10_000),
        (0..1 << 18).filter_map(char::from_u32).collect(),
    ] {
        let prediction = model.predict(&text[..text.char_indices().nth(50).map_or(0, |(at, _)| at)], &text, &mut room);
        assert!((0.0..=1.0).contains(&prediction.confidence));
        model.explain("", prediction.label, &room);
    }
}

#[test]
fn without_its_reasons_a_text_convinces_less() {
    let model = model();
    let mut room = Room::default();
    let (mut fell, mut asked) = (0, 0);
    for (text, _) in letters(300).split_off(240) {
        let before = model.predict("", &text, &mut room);
        let reasons = model.explain("", before.label, &room);
        assert!(!reasons.is_empty(), "{text}");
        let mut rest: Vec<char> = text.chars().collect();
        for reason in &reasons {
            assert_eq!(reason.field, Field::Text);
            rest[reason.start as usize..reason.end as usize].fill(' ');
        }
        let rest: String = rest.into_iter().collect();
        model.predict("", &rest, &mut room);
        asked += 1;
        fell += usize::from(room.probabilities[before.label] < before.confidence);
    }
    assert!(fell * 10 >= asked * 9, "{fell} of {asked}");
}

#[test]
fn reasons_are_readable_words_in_their_place() {
    let model = model();
    let mut room = Room::default();
    let (subject, text) = ("İnvoice", "Ça va? You CHARGED me twice for nothing");
    let prediction = model.predict(subject, text, &mut room);
    assert_eq!(model.label(prediction.label), "billing");
    let said: Vec<String> = model
        .explain(subject, prediction.label, &room)
        .iter()
        .map(|reason| {
            let source = if reason.field == Field::Subject { subject } else { text };
            source.chars().skip(reason.start as usize).take((reason.end - reason.start) as usize).collect()
        })
        .collect();
    assert!(said.iter().any(|words| words.contains("CHARGED")), "{said:?}");
    for words in said.iter().flat_map(|words| words.split(' ')) {
        assert!(format!(" {subject} {text} ").contains(&format!(" {} ", words)) || words.contains("Ça"), "{words:?}");
    }
}

#[test]
fn an_axis_of_our_own_takes_our_labels_only_and_an_unsure_model_says_review() {
    let unknown = taught(&letters(60), "category", 1).unwrap_err();
    assert!(matches!(&unknown, TrainError::UnknownLabel { unknown, .. } if unknown == "billing"), "{unknown}");
    assert_eq!(taught(&letters(60), "urgency", 1).unwrap_err(), TrainError::Urgency);

    let (classifier, model) = (Classifier::builtin(), model());
    let (mut scratch, mut room) = (Scratch::default(), Room::default());
    let mut ask = |text: &str| {
        let input = Input::new(text);
        let mut classification = classifier.classify_with(&input, &mut scratch);
        model.speak(&input, &mut classification, &mut room);
        classification
    };
    let sure = ask("my parcel never arrived and the courier left it in the rain");
    assert_eq!(sure.labels["queue"].label, "delivery");
    assert!(sure.evidence.iter().any(|evidence| evidence.axis == "queue" && evidence.label == "delivery"));
    assert!(sure.classifier_version.ends_with(&format!("+model.{}", model.hash())));
    let unsure = ask("zzz");
    assert_eq!(unsure.labels["queue"].label, REVIEW);
    assert!(unsure.needs_review && unsure.evidence.iter().all(|evidence| evidence.axis != "queue"));
}

#[test]
fn data_that_cannot_teach_is_refused_in_words() {
    assert!(matches!(reason(&[], "queue"), TrainError::NoExamples { rows: 0, .. }));
    let empty = reason(&[("a", ""), ("b", " "), ("", "x")], "queue");
    assert_eq!(empty, TrainError::NoExamples { rows: 3, without_label: 2, without_text: 1 });
    assert_eq!(reason(&[("a b", "x"), ("c d", "x"), ("e", "y")], "queue"), TrainError::OneLabel("x".into()));
    assert_eq!(reason(&[("a b", "x"), ("c d", "y")], "queue"), TrainError::NothingComesAgain { labels: 2 });
    let reserved = [("a b", "review"), ("c d", "review"), ("e f", "y"), ("g h", "y")];
    assert_eq!(reason(&reserved, "queue"), TrainError::ReservedLabel);
}

#[test]
fn what_was_left_away_is_counted() {
    let mut letters = letters(30);
    letters.push(letters[0].clone());
    letters.push((letters[1].0.clone(), "login"));
    letters.push((String::new(), "login"));
    letters.push(("no label".into(), ""));
    letters.push(("only one of its kind".into(), "rare"));
    let trained = taught(&letters, "queue", 1).unwrap();
    let counts = &trained.card.data.counts;
    let expected = DataCounts {
        rows: 35,
        without_text: 1,
        without_label: 1,
        repeated: 1,
        contradicting: 2,
        of_rare_labels: 1,
        beyond_limit: 0,
        used: 31,
    };
    assert_eq!((counts, trained.rare_labels.as_slice()), (&expected, &["rare".to_owned()][..]));
}

#[test]
fn a_file_that_is_not_what_it_was_is_refused() {
    let bytes = taught(&letters(60), "queue", 1).unwrap().bytes;
    assert_eq!(Model::open(b"PK\x03\x04".to_vec()).unwrap_err(), ModelError::NotAModel);
    assert_eq!(Model::open(Vec::new()).unwrap_err(), ModelError::NotAModel);
    for length in (8..bytes.len()).step_by(997).chain([8, 11, 12, 63, 64, bytes.len() - 1]) {
        assert!(matches!(Model::open(bytes[..length].to_vec()), Err(ModelError::WrongSize { .. })), "{length}");
    }
    let mut newer = bytes.clone();
    newer[8] = 9;
    assert_eq!(Model::open(newer).unwrap_err(), ModelError::OtherVersion { found: 9 });
    for place in (64..bytes.len()).step_by(1009) {
        let mut changed = bytes.clone();
        changed[place] ^= 0x10;
        assert_eq!(Model::open(changed).unwrap_err(), ModelError::Damaged, "{place}");
    }
}

#[test]
fn a_forged_file_is_refused_or_answers_and_never_panics() {
    let bytes = taught(&letters(60), "queue", 1).unwrap().bytes;
    let mut random = Random::new(11);
    let mut room = Room::default();
    let mut opened = 0;
    for _ in 0..300 {
        let mut forged = bytes.clone();
        let content = forged.len() - 32;
        for _ in 0..1 + random.below(4) {
            // Half of the changes hit the header.
            let place = 12 + if random.below(2) == 0 { random.below(52) } else { random.below(content - 12) };
            forged[place] = random.next() as u8;
        }
        let checksum = Sha256::digest(&forged[..content]);
        forged[content..].copy_from_slice(&checksum);
        if let Ok(model) = Model::open(forged) {
            opened += 1;
            let prediction = model.predict("a subject", "the courier charged my card, password refused", &mut room);
            model.explain("a subject", prediction.label, &room);
        }
    }
    assert!(opened > 10, "the check was of the checksum only");
}
