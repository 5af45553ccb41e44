//! Items as connectors would make them: the same number always gives the same item, about 1 kB of JSON each, three to a
//! case, mail and posts, in several languages.

use outcry_domain::{
    AuthorKind, CaseId, Channel, Classification, ClassifiedItem, ContactId, CustomerKey, Direction, Item, ItemId, Mail,
    Origin, Post, SCHEMA_VERSION, Timestamp,
    classification::{Category, Kind, Scored, Sentiment, Urgency},
};

/// JSON of an item is made this long, by adding sentences.
const TARGET_BYTES: usize = 1_000;
/// Of every case: two messages of the customer, and one answer.
const PER_CASE: u64 = 3;
/// 2026-01-05T08:00:00Z, when the first item happened.
const FIRST_MS: i64 = 1_767_600_000_000;

const SUBJECTS: [&str; 8] = [
    "Parcel has not arrived",
    "Addebito sbagliato in fattura",
    "Produto chegou com defeito",
    "Kündigung wird ignoriert",
    "No puedo entrar en mi cuenta",
    "Remboursement toujours en attente",
    "Charged twice for one order",
    "The replacement is broken too",
];

const SENTENCES: [(&str, &[&str]); 6] = [
    (
        "en",
        &[
            "My order was promised for Tuesday and the tracking page has not moved for six days.",
            "I was charged twice and nobody on the phone could tell me why.",
            "This is the third time that I write about the same thing.",
            "The replacement arrived with a cracked screen, exactly like the first one.",
            "Please cancel the contract and return the 129.90 EUR that you took.",
            "If I have no answer by Friday I will go to the ombudsman.",
            "The technician came two hours late and left after five minutes.",
            "Could you at least confirm that somebody has read this?",
        ],
    ),
    (
        "it",
        &[
            "Il pacco risulta consegnato ma qui non è mai arrivato nulla.",
            "Mi avete addebitato due volte lo stesso importo di 49,90 €.",
            "È la terza volta che scrivo e nessuno risponde.",
            "Il prodotto è arrivato rotto e chiedo il rimborso.",
            "Se non risolvete entro venerdì mi rivolgo a un avvocato.",
        ],
    ),
    (
        "pt",
        &[
            "O pedido atrasou de novo e ninguém me avisa de nada.",
            "Fui cobrado duas vezes no cartão e quero o reembolso.",
            "O aplicativo não deixa entrar na conta desde ontem.",
            "Já abri três protocolos e nada foi resolvido.",
        ],
    ),
    (
        "de",
        &[
            "Die Lieferung ist seit zehn Tagen überfällig.",
            "Mir wurde der Betrag doppelt abgebucht, bitte erstatten Sie ihn.",
            "Seit drei Wochen warte ich auf eine Antwort.",
            "Das Gerät ist schon wieder defekt.",
        ],
    ),
    (
        "es",
        &[
            "El paquete nunca llegó y el seguimiento dice entregado.",
            "Me han cobrado dos veces y exijo la devolución.",
            "Llevo una semana sin servicio y nadie responde.",
        ],
    ),
    (
        "fr",
        &[
            "Le colis est arrivé ouvert et il manque deux articles.",
            "J'ai été débité deux fois pour la même commande.",
            "Sans réponse de votre part je saisirai le médiateur.",
        ],
    ),
];

/// Makes items.
#[derive(Clone, Debug)]
pub struct Generator {
    seed: u64,
    brand: String,
    key: CustomerKey,
}

impl Generator {
    /// Items of one brand; another seed gives other items.
    pub fn new(brand: &str, seed: u64) -> Self {
        Self { seed, brand: brand.to_owned(), key: CustomerKey::new(b"generated items, nobody's address") }
    }

    /// The item of that number.
    pub fn item(&self, number: u64) -> Item {
        let case = number / PER_CASE;
        let answer = number % PER_CASE == PER_CASE - 1;
        let mut random = Random(self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let social = case.is_multiple_of(4);
        let native = format!("{}-{number}", self.seed);
        let mut item = self.envelope(number, case, social, &native);
        if answer {
            item.direction = Direction::Outbound;
        }
        let language = SENTENCES[(case % SENTENCES.len() as u64) as usize];
        item.language = social.then(|| language.0.to_owned());
        if social {
            item.post = Some(Post {
                uri: format!("https://social.example/statuses/{native}"),
                url: Some(format!("https://social.example/@c{case}/{native}")),
                handle: Some(format!("c{case}")),
                visibility: Some("public".into()),
                followers: Some(random.below(5_000)),
                ..Post::default()
            });
        } else {
            item.subject = Some(SUBJECTS[(case % SUBJECTS.len() as u64) as usize].to_owned());
            item.mail = Some(Mail {
                message_id: format!("{native}@mail.example"),
                from: format!("customer{case}@mail.example"),
                to: vec![format!("care@{}.example", self.brand)],
                ..Mail::default()
            });
        }
        lengthen(&mut item, language.1, &mut random);
        item
    }

    fn envelope(&self, number: u64, case: u64, social: bool, native: &str) -> Item {
        let channel = if social { Channel::Social } else { Channel::Email };
        let customer = if social {
            self.key.account("mastodon", &format!("https://social.example/@c{case}"), Some("Customer"))
        } else {
            self.key.email(&format!("customer{case}@mail.example"), Some("A Customer"))
        };
        let at = Timestamp::from_millis(FIRST_MS + (number as i64) * 1_700);
        let (source, provider) = if social { ("social:load", "mastodon") } else { ("email:load", "imap") };
        Item {
            schema_version: SCHEMA_VERSION,
            item_id: ItemId::new(&self.brand, channel, provider, &[native.as_bytes()]),
            contact_id: ContactId::new(&self.brand, channel, &[native.as_bytes()]),
            case_id: CaseId::new(&self.brand, &case.to_be_bytes(), customer.customer_id),
            revision: 0,
            brand: self.brand.clone(),
            channel,
            source: source.into(),
            provider: provider.into(),
            direction: Direction::Inbound,
            author_kind: AuthorKind::Human,
            customer,
            subject: None,
            text: String::new(),
            quoted_text: String::new(),
            language: None,
            occurred_at: at,
            received_at: at,
            ingested_at: at,
            effective_at: at,
            clock_suspect: false,
            mail: None,
            call: None,
            post: None,
            origin: Origin { connector: "load 0.1.0".into(), raw_size: 900, ..Origin::default() },
            unknown_fields: serde_json::Map::new(),
        }
    }
}

/// The category given to an item of that number where a classification is made up.
pub fn category_of(number: u64) -> Category {
    Category::ALL[(number % Category::ALL.len() as u64) as usize]
}

/// An item as a classifier would pass it on.
pub fn classified(item: Item, category: Category) -> ClassifiedItem {
    fn sure<T>(label: T) -> Scored<T> {
        Scored { label, confidence: 0.9 }
    }
    let classification = Classification {
        classifier_version: "made up".into(),
        language: sure("en".to_owned()),
        kind: sure(Kind::Complaint),
        category: sure(category),
        secondary_categories: Vec::new(),
        subcategory: None,
        labels: Default::default(),
        urgency: sure(Urgency::Normal),
        urgency_score: 40,
        sentiment: sure(Sentiment::Negative),
        amounts: Vec::new(),
        needs_review: false,
        evidence: Vec::new(),
    };
    ClassifiedItem { item, classification }
}

fn lengthen(item: &mut Item, sentences: &[&str], random: &mut Random) {
    let bare = serde_json::to_vec(item).map_or(0, |json| json.len());
    while bare + item.text.len() < TARGET_BYTES {
        if !item.text.is_empty() {
            item.text.push(' ');
        }
        item.text.push_str(sentences[random.below(sentences.len() as u64) as usize]);
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough for choosing sentences, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn items_are_a_kilobyte_distinct_and_repeatable() {
        let generator = Generator::new("acme", 7);
        let items: Vec<Item> = (0..1_000).map(|number| generator.item(number)).collect();
        assert_eq!(items[17], generator.item(17));
        assert_eq!(items.iter().map(|item| item.item_id).collect::<BTreeSet<_>>().len(), 1_000);
        assert_eq!(items.iter().map(|item| item.case_id).collect::<BTreeSet<_>>().len(), 334);
        let sizes = items.iter().map(|item| serde_json::to_vec(item).unwrap().len());
        assert!(sizes.clone().all(|size| (900..1_200).contains(&size)), "{:?}", sizes.max());
        assert_ne!(items[17].item_id, Generator::new("acme", 8).item(17).item_id);
    }
}
