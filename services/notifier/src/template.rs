//! The receipt's words, in eight languages.
//!
//! Each says the three points that an acknowledgement owes (mission map, section 3): received, being dealt with, when you
//! will hear from us. First line: the subject for a mail that had none; the rest: the text. Nothing that the customer wrote
//! is repeated in it, so that nobody can have us mail their words to others.

use minijinja::{Environment, UndefinedBehavior, context};

/// Languages there are words in.
pub const LANGUAGES: &[&str] = &["en", "it", "pt", "de", "es", "fr", "ja", "zh"];

const TEXTS: &[(&str, &str)] = &[
    ("en", include_str!("../templates/en.txt")),
    ("it", include_str!("../templates/it.txt")),
    ("pt", include_str!("../templates/pt.txt")),
    ("de", include_str!("../templates/de.txt")),
    ("es", include_str!("../templates/es.txt")),
    ("fr", include_str!("../templates/fr.txt")),
    ("ja", include_str!("../templates/ja.txt")),
    ("zh", include_str!("../templates/zh.txt")),
];

/// Words for one receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Subject for a mail that had none.
    pub subject: String,
    /// Text.
    pub body: String,
}

/// All texts, parsed.
pub struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    /// Parses all texts.
    pub fn new() -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        for (language, text) in TEXTS {
            environment.add_template(language, text)?;
        }
        Ok(Self { environment })
    }

    /// The receipt in a language of [`LANGUAGES`]. The promise is rounded up to whole days, or to hours below one day.
    pub fn receipt(
        &self,
        language: &str,
        brand: &str,
        reference: &str,
        respond_minutes: u32,
    ) -> Result<Receipt, minijinja::Error> {
        const DAY: u32 = 24 * 60;
        let days = if respond_minutes < DAY { 0 } else { respond_minutes.div_ceil(DAY) };
        let hours = respond_minutes.div_ceil(60).max(1);
        let text = self.environment.get_template(language)?.render(context! { brand, reference, days, hours })?;
        let (subject, body) = text.split_once('\n').unwrap_or((&text, ""));
        Ok(Receipt { subject: subject.trim().to_owned(), body: format!("{}\n", body.trim()) })
    }
}

/// The language to answer in: the customer's if it is certain enough and there are words, else the brand's first one
/// that there are words in, else the first that is allowed.
pub fn choose<'a>(found: &str, certain: bool, brand: &'a [String], allowed: &'a [String]) -> &'a str {
    let written_in = |language: &str| {
        let primary = language.split(['-', '_']).next().unwrap_or_default().to_lowercase();
        allowed.iter().find(|allowed| **allowed == primary).map(String::as_str)
    };
    certain
        .then(|| written_in(found))
        .flatten()
        .or_else(|| brand.iter().find_map(|language| written_in(language)))
        .or_else(|| allowed.first().map(String::as_str))
        .unwrap_or("en")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn languages() -> Vec<String> {
        LANGUAGES.iter().map(|&language| language.into()).collect()
    }

    #[test]
    fn every_language_makes_the_three_points_and_names_brand_and_reference() {
        let templates = Templates::new().unwrap();
        for language in LANGUAGES {
            for (minutes, number) in [(1, "1"), (180, "3"), (181, "4"), (1440, "1"), (4320, "3")] {
                let receipt = templates.receipt(language, "Acme & Sons", "R-7", minutes).unwrap();
                let points: Vec<_> = receipt.body.lines().filter(|line| line.starts_with(char::is_numeric)).collect();
                assert_eq!(points.len(), 3, "{language}: {}", receipt.body);
                assert!(points[2].split_once('.').unwrap().1.contains(number), "{language}: {}", points[2]);
                assert!(receipt.body.contains("Acme & Sons") && receipt.body.contains("R-7"), "{language}");
                assert!(!receipt.subject.is_empty() && !receipt.body.starts_with(&receipt.subject), "{language}");
                assert!(!receipt.body.contains("{"), "{language}");
            }
        }
    }

    #[test]
    fn one_hour_is_singular_and_a_day_is_not_twenty_four_hours() {
        let templates = Templates::new().unwrap();
        assert!(templates.receipt("en", "A", "R", 60).unwrap().body.contains("within 1 hour."));
        assert!(templates.receipt("it", "A", "R", 1440).unwrap().body.contains("entro 1 giorno."));
        assert!(templates.receipt("de", "A", "R", 2880).unwrap().body.contains("von 2 Tagen"));
    }

    #[test]
    fn the_customers_language_wins_only_when_it_is_certain_and_allowed() {
        let brand = vec!["it".to_owned()];
        assert_eq!(choose("pt-BR", true, &brand, &languages()), "pt");
        assert_eq!(choose("pt", false, &brand, &languages()), "it");
        assert_eq!(choose("sv", true, &brand, &languages()), "it");
        assert_eq!(choose("sv", true, &[], &["fr".to_owned()]), "fr");
    }
}
