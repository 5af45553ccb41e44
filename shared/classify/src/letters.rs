//! What single characters are and what they fold to.

/// Joiners, direction marks, soft hyphens, variation selectors, skin tones.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{00AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{1F3FB}'..='\u{1F3FF}' | '\u{E0000}'..='\u{E007F}')
}

pub(crate) fn is_symbol(c: char) -> bool {
    matches!(c, '\u{1F300}'..='\u{1FAFF}' | '\u{2600}'..='\u{27BF}')
}

/// Marks that fall away: accents written apart, Arabic vowel signs and the lengthening line, the nukta.
pub(crate) fn is_combining(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036F}' | '\u{064B}'..='\u{065F}' | '\u{0670}' | '\u{0640}' | '\u{093C}'
        | '\u{3099}' | '\u{309A}')
}

/// Vowel signs of Indic scripts, Thai marks, the Japanese lengthening mark: part of a word though not letters.
pub(crate) fn is_dependent_sign(c: char) -> bool {
    matches!(c, '\u{0900}'..='\u{0D7F}' | '\u{0E31}'..='\u{0E4E}' | '\u{30FC}' | '\u{3005}')
}

pub(crate) fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{FF66}'..='\u{FF9D}' | '\u{20000}'..='\u{323AF}' | '\u{0E00}'..='\u{0E7F}')
}

/// The ASCII character that a full-width form stands for.
pub(crate) fn narrow(c: char) -> Option<char> {
    match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(c as u32 - 0xFEE0),
        '\u{0660}'..='\u{0669}' => char::from_u32(c as u32 - 0x0660 + 0x30),
        '\u{0966}'..='\u{096F}' => char::from_u32(c as u32 - 0x0966 + 0x30),
        _ => None,
    }
}

/// Half-width katakana in order of code point, from U+FF66.
const HALF_WIDTH: &str =
    "ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン";

/// The full-width katakana, with a following voice mark taken in; and how many bytes of the rest that used up.
pub(crate) fn fold_kana(c: char, rest: &str) -> (char, usize) {
    let code = c as u32;
    if !(0xFF66..=0xFF9D).contains(&code) {
        return (c, 0);
    }
    let Some(full) = HALF_WIDTH.chars().nth((code - 0xFF66) as usize) else {
        return (c, 0);
    };
    let voiced = match rest.chars().next() {
        Some('\u{FF9E}') if full == 'ウ' => Some('ヴ'),
        Some('\u{FF9E}') => char::from_u32(full as u32 + 1),
        Some('\u{FF9F}') => char::from_u32(full as u32 + 2),
        _ => None,
    };
    voiced.map_or((full, 0), |voiced| (voiced, '\u{FF9E}'.len_utf8()))
}

pub(crate) fn fold_latin(c: char) -> Option<&'static str> {
    Some(match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'À' | 'Á' | 'Â' | 'Ã' | 'Ä' | 'Å' | 'ā' | 'ă' | 'ą' | 'Ą' => {
            "a"
        }
        'è' | 'é' | 'ê' | 'ë' | 'È' | 'É' | 'Ê' | 'Ë' | 'ē' | 'ė' | 'ę' | 'ě' | 'Ę' => "e",
        'ì' | 'í' | 'î' | 'ï' | 'Ì' | 'Í' | 'Î' | 'Ï' | 'ī' | 'ı' | 'İ' => "i",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'Ò' | 'Ó' | 'Ô' | 'Õ' | 'Ö' | 'Ø' | 'ō' | 'ő' => "o",
        'ù' | 'ú' | 'û' | 'ü' | 'Ù' | 'Ú' | 'Û' | 'Ü' | 'ū' | 'ů' | 'ű' => "u",
        'ý' | 'ÿ' | 'Ý' => "y",
        'ç' | 'Ç' | 'ć' | 'č' | 'Ć' | 'Č' => "c",
        'ñ' | 'Ñ' | 'ń' | 'Ń' | 'ň' => "n",
        'ß' | 'ẞ' => "ss",
        'æ' | 'Æ' => "ae",
        'œ' | 'Œ' => "oe",
        'ł' | 'Ł' => "l",
        'ś' | 'ş' | 'š' | 'Ś' | 'Ş' | 'Š' => "s",
        'ź' | 'ż' | 'ž' | 'Ź' | 'Ż' | 'Ž' => "z",
        'ğ' | 'Ğ' => "g",
        'ř' => "r",
        'ť' | 'ţ' | 'ț' => "t",
        'đ' | 'ď' => "d",
        'º' | 'ª' => "",
        _ => return None,
    })
}

pub(crate) fn fold_other(c: char) -> Option<&'static str> {
    Some(match c {
        'أ' | 'إ' | 'آ' | 'ٱ' => "ا",
        'ى' | 'ی' | 'ئ' => "ي",
        'ة' => "ه",
        'ؤ' => "و",
        'ک' => "ك",
        'ё' | 'Ё' => "е",
        '\u{0958}' => "\u{0915}",
        '\u{0959}' => "\u{0916}",
        '\u{095A}' => "\u{0917}",
        '\u{095B}' => "\u{091C}",
        '\u{095C}' => "\u{0921}",
        '\u{095D}' => "\u{0922}",
        '\u{095E}' => "\u{092B}",
        _ => return None,
    })
}
