//! Which language a text is in.

use whichlang::Lang;

/// Letters below which a guess is noise.
const MIN_LETTERS: usize = 40;
/// Bytes looked at: the guess does not improve after a page of text, its cost grows with each byte.
const MAX_BYTES: usize = 4_000;

/// The ISO 639-1 code of the language of `text`, judged by its first 4,000 bytes; `None` below 40 letters.
/// Always one of 16 languages: a text in another one is taken for the nearest of them.
#[must_use]
pub fn detect(text: &str) -> Option<&'static str> {
    let text = &text[..text.floor_char_boundary(MAX_BYTES)];
    if text.chars().filter(|character| character.is_alphabetic()).take(MIN_LETTERS).count() < MIN_LETTERS {
        return None;
    }
    Some(match whichlang::detect_language(text) {
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(detect(text), expected, "{text}");
    }

    #[test]
    fn languages_are_told_apart_and_short_texts_are_not_guessed() {
        check("", None);
        check("Install the package.", None);
        check("0123456789 ".repeat(100).as_str(), None);
        check("The logging module writes messages of a program to files and to other places.", Some("en"));
        check("Das Modul schreibt die Meldungen eines Programms in Dateien und an andere Orte.", Some("de"));
        check("Le module écrit les messages d’un programme dans des fichiers et ailleurs encore.", Some("fr"));
        check("Модуль записывает сообщения программы в файлы и в другие места, если это нужно.", Some("ru"));
        check(&"这个模块把程序的消息写入文件和其他地方。".repeat(4), Some("zh"));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        check(&format!("a{}", "é".repeat(10_000)), detect(&format!("a{}", "é".repeat(1_999))));
    }
}
