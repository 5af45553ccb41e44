//! What the folding pass counts on its way: shouting, questions, and the letters that tell languages apart.

/// What the pass counted on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub question_marks: u32,
    pub exclamation_marks: u32,
    pub letters: u32,
    pub capitals: u32,
    /// Words of at least three letters, all of them capitals.
    pub shouted_words: u32,
    pub mentions: u32,
    pub links: u32,
    pub han: u32,
    pub kana: u32,
    pub hangul: u32,
    pub arabic: u32,
    pub devanagari: u32,
    pub cyrillic: u32,
    /// `¿ ¡ ñ`.
    pub spanish: u32,
    /// `ã õ`.
    pub portuguese: u32,
    /// `ß ä ö ü`.
    pub german: u32,
    /// `è ê ë î œ û ï`.
    pub french: u32,
    /// `ò ì ù` and `è`, the last shared with French.
    pub italian: u32,
    /// `ğ ı ş`.
    pub turkish: u32,
    /// `ą ę ł ń ś ź ż`.
    pub polish: u32,
    /// `ç â ô`: Portuguese, French, Turkish.
    pub cedilla: u32,
    /// `á é í ó ú`: Spanish, Portuguese.
    pub acute: u32,
}

impl Marks {
    /// Counts the letters that tell scripts and languages apart.
    pub fn count_script(&mut self, c: char) {
        let marks = self;
        let counter = match c {
            'ñ' | 'Ñ' => &mut marks.spanish,
            'ã' | 'õ' | 'Ã' | 'Õ' => &mut marks.portuguese,
            'ß' | 'ä' | 'ö' | 'ü' | 'Ä' | 'Ö' | 'Ü' => &mut marks.german,
            'è' | 'È' => {
                marks.italian += 1;
                &mut marks.french
            }
            'ê' | 'ë' | 'î' | 'œ' | 'û' | 'ï' | 'Ê' => &mut marks.french,
            'ò' | 'ì' | 'ù' | 'Ù' => &mut marks.italian,
            'ğ' | 'ı' | 'ş' | 'İ' | 'Ş' | 'Ğ' => &mut marks.turkish,
            'ą' | 'ę' | 'ł' | 'ń' | 'ś' | 'ź' | 'ż' | 'Ł' | 'Ś' | 'Ż' => &mut marks.polish,
            'ç' | 'Ç' | 'â' | 'ô' | 'Â' | 'Ô' => &mut marks.cedilla,
            'á' | 'é' | 'í' | 'ó' | 'ú' | 'Á' | 'É' | 'Í' | 'Ó' | 'Ú' => &mut marks.acute,
            '\u{3040}'..='\u{30FF}' | '\u{FF66}'..='\u{FF9D}' => &mut marks.kana,
            '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{323AF}' => &mut marks.han,
            '\u{AC00}'..='\u{D7AF}' | '\u{1100}'..='\u{11FF}' => &mut marks.hangul,
            '\u{0600}'..='\u{06FF}' | '\u{0750}'..='\u{077F}' | '\u{FB50}'..='\u{FEFC}' => &mut marks.arabic,
            '\u{0900}'..='\u{097F}' => &mut marks.devanagari,
            '\u{0400}'..='\u{04FF}' => &mut marks.cyrillic,
            _ => return,
        };
        *counter += 1;
    }
}
