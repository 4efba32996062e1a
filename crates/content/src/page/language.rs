//! Language of a page as ISO 639-1.

use whichlang::Lang;

/// Fewer characters give no reliable answer.
const MIN_CHARS: usize = 120;
/// The detector is linear and the beginning says enough.
const MAX_BYTES: usize = 4096;

/// The primary subtag of a declared language, when it looks like one.
pub(super) fn declared(value: &str) -> Option<String> {
    let primary = value.trim().split(['-', '_', ',', ';']).next()?.to_ascii_lowercase();
    (primary.len() == 2 && primary.bytes().all(|byte| byte.is_ascii_lowercase())).then_some(primary)
}

/// The language that the text is written in.
pub(super) fn detect(text: &str) -> Option<String> {
    if text.chars().take(MIN_CHARS).count() < MIN_CHARS {
        return None;
    }
    let head = text.get(..text.floor_char_boundary(MAX_BYTES)).unwrap_or(text);
    let code = match whichlang::detect_language(head) {
        Lang::Ara => "ar",
        Lang::Cmn => "zh",
        Lang::Deu => "de",
        Lang::Eng => "en",
        Lang::Fra => "fr",
        Lang::Hin => "hi",
        Lang::Ita => "it",
        Lang::Jpn => "ja",
        Lang::Kor => "ko",
        Lang::Nld => "nl",
        Lang::Por => "pt",
        Lang::Rus => "ru",
        Lang::Spa => "es",
        Lang::Swe => "sv",
        Lang::Tur => "tr",
        Lang::Vie => "vi",
    };
    Some(code.to_owned())
}
