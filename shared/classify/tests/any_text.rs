//! Any text at all: an answer, the same answer again, evidence that lies inside the text, and in bounded time.

use outcry_classify::{Classifier, Input, Scratch};
use outcry_domain::Classification;
use outcry_domain::classification::Field;
use proptest::prelude::*;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

static CLASSIFIER: LazyLock<Classifier> = LazyLock::new(Classifier::builtin);

fn check(subject: &str, text: &str, answer: &Classification) {
    for evidence in &answer.evidence {
        let characters = match evidence.field {
            Field::Subject => subject.chars().count(),
            Field::Text => text.chars().count(),
        } as u32;
        assert!(evidence.start <= evidence.end && evidence.end <= characters, "{evidence:?} in {subject:?} {text:?}");
    }
    for confidence in [answer.kind.confidence, answer.category.confidence, answer.urgency.confidence] {
        assert!((0.0..=1.0).contains(&confidence));
    }
    assert!(answer.urgency_score <= 100);
}

/// What real inboxes hold, next to what nobody expects.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        any::<char>().prop_map(String::from),
        "[a-z' .,!?@#:;/-]{0,30}",
        prop::sample::select(vec![
            "not",
            "refund",
            "fire",
            "don’t",
            "DELAYED!!!",
            "\0",
            "😡",
            "👨‍👩‍👧",
            "ｶﾞ",
            "返金",
            "まだ届かない",
            "退款",
            "İstanbul",
            "ﷺ",
            "e\u{301}",
            "\u{200d}",
            "€ 1.234,56",
            "$",
            "12",
            "http://",
            "https://x.y/z",
            ":)",
            ":-(",
            ":/",
            "'",
            "’",
            "#NoBags",
            "@brand",
            "不",
            "ない",
            "ß",
            "\r\n\n",
            "万円",
            "１２，３",
            "Rs.",
        ])
        .prop_map(str::to_owned),
    ];
    (prop::collection::vec(piece, 0..12), prop::sample::select(vec!["", " "])).prop_map(|(all, glue)| all.join(glue))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_has_an_answer_whose_evidence_lies_inside_it(subject in pieces(), text in pieces()) {
        let input = Input::with_subject(&subject, &text);
        let answer = CLASSIFIER.classify(&input);
        check(&subject, &text, &answer);
        // Room used before leaves no trace.
        let mut scratch = Scratch::default();
        CLASSIFIER.classify_with(&Input::new("I want a refund, not delivered, € 5!"), &mut scratch);
        let again = CLASSIFIER.classify_with(&input, &mut scratch);
        prop_assert_eq!(serde_json::to_string(&answer).unwrap(), serde_json::to_string(&again).unwrap());
    }
}

#[test]
fn evidence_names_the_words_of_the_original() {
    let text = "Ciao 😀! My pàrcel — the 2nd one — was NOT   delivered, and I’ve been charged twice: € 12,50.";
    let answer = CLASSIFIER.classify(&Input::with_subject("Fire 🔥 in the kitchen", text));
    check("Fire 🔥 in the kitchen", text, &answer);
    let words = |label: &str| -> Vec<String> {
        let of_label = answer.evidence.iter().filter(|evidence| evidence.label == label);
        of_label
            .map(|evidence| {
                let source = if evidence.field == Field::Subject { "Fire 🔥 in the kitchen" } else { text };
                source.chars().skip(evidence.start as usize).take((evidence.end - evidence.start) as usize).collect()
            })
            .collect()
    };
    assert!(words("delivery").contains(&"NOT   delivered".to_owned()), "{:?}", words("delivery"));
    assert!(words("billing_payment").contains(&"charged twice".to_owned()), "{:?}", words("billing_payment"));
    assert_eq!(words("EUR"), ["€ 12,50"]);
}

#[test]
fn a_megabyte_of_anything_takes_no_longer_than_its_length() {
    let shapes: Vec<(&str, String)> = vec![
        ("one letter", "a".repeat(1 << 20)),
        ("one symbol", "😡".repeat(1 << 18)),
        ("one word", "refund ".repeat(150_000)),
        ("a rule's words", "my card was stolen not lost ".repeat(38_000)),
        ("marks", "!?.,:;'\"".repeat(1 << 17)),
        ("digits", "1.234,".repeat(170_000)),
        ("one number", "1".repeat(1 << 20)),
        ("sums", "€ 12,50 ".repeat(110_000)),
        ("Japanese", "返金してください".repeat(45_000)),
        ("links", "http://a ".repeat(116_000)),
        ("half a link", "http://".repeat(150_000)),
        ("joiners", "\u{200d}".repeat(350_000)),
        ("faces", ":-/".repeat(350_000)),
        ("symbols and spaces", "😀 ".repeat(200_000)),
    ];
    for (name, text) in shapes {
        let started = Instant::now();
        let answer = CLASSIFIER.classify(&Input::new(&text));
        // 50 ms is the promise of an optimised build on a free core; this bound tells a line from a parabola.
        let took = started.elapsed();
        assert!(took < Duration::from_secs(5), "{name}: {took:?}");
        check("", &text, &answer);
        assert!(answer.evidence.len() < 200, "{name}: {} spans", answer.evidence.len());
    }
}

#[test]
fn nothing_to_read_is_an_answer_of_low_confidence() {
    for text in ["", " ", "\0", "....", "7", "\u{200d}\u{200d}"] {
        let answer = CLASSIFIER.classify(&Input::new(text));
        assert!(answer.category.confidence < 0.1, "{text:?}");
        assert!(answer.needs_review, "{text:?}");
    }
}
