//! What a page asks of crawlers: `meta name=robots` and `X-Robots-Tag`.

/// A page's wishes, from all places taken together: the strictest counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Directives {
    /// No chunks of it.
    pub noindex: bool,
    /// None of its links.
    pub nofollow: bool,
}

/// Directives that carry a value after a colon, so that their name is no crawler's.
const WITH_VALUE: &[&str] = &["unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"];

impl Directives {
    /// Takes the directives of one `meta` of the given name, when it speaks to everyone or to us.
    pub(super) fn apply_meta(&mut self, name: &str, content: &str, token: &str) {
        if name.eq_ignore_ascii_case("robots") || name.eq_ignore_ascii_case(token) {
            content.split(',').for_each(|word| self.apply_word(word));
        }
    }

    fn apply_word(&mut self, word: &str) {
        match word.trim().to_ascii_lowercase().as_str() {
            "noindex" => self.noindex = true,
            "nofollow" => self.nofollow = true,
            "none" => (self.noindex, self.nofollow) = (true, true),
            _ => {}
        }
    }
}

/// Takes the directives of every `X-Robots-Tag` header. A crawler's name before a colon binds all that follows it
/// in the same header.
pub(super) fn apply_headers(directives: &mut Directives, headers: &[String], token: &str) {
    for header in headers {
        let mut is_ours = true;
        for part in header.split(',') {
            let (scope, word) = match part.split_once(':') {
                Some((name, _)) if WITH_VALUE.iter().any(|known| name.trim().eq_ignore_ascii_case(known)) => continue,
                Some((name, word)) => (Some(name.trim()), word),
                None => (None, part),
            };
            if let Some(name) = scope {
                is_ours = name.eq_ignore_ascii_case(token) || name.eq_ignore_ascii_case("robots") || name == "*";
            }
            if is_ours {
                directives.apply_word(word);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[&str], noindex: bool, nofollow: bool) {
        let mut directives = Directives::default();
        apply_headers(&mut directives, &headers.iter().map(ToString::to_string).collect::<Vec<_>>(), "argiope");
        assert_eq!(directives, Directives { noindex, nofollow }, "{headers:?}");
    }

    #[test]
    fn headers_speak_to_everyone_or_to_one() {
        check(&["noindex"], true, false);
        check(&["NoIndex , NOFOLLOW"], true, true);
        check(&["none"], true, true);
        check(&["argiope: noindex, nofollow"], true, true);
        check(&["googlebot: noindex, nofollow"], false, false);
        check(&["googlebot: noindex, argiope: nofollow"], false, true);
        check(&["googlebot: noindex", "nofollow"], false, true);
        check(&["unavailable_after: 25 Jun 2010 15:00:00 PST"], false, false);
        check(&["max-snippet: 10, noindex"], true, false);
        check(&["all", "", ":", ",,"], false, false);
    }

    #[test]
    fn metas_of_other_crawlers_are_ignored() {
        let mut directives = Directives::default();
        directives.apply_meta("googlebot", "noindex", "argiope");
        assert_eq!(directives, Directives::default());
        directives.apply_meta("Argiope", "nofollow", "argiope");
        directives.apply_meta("robots", "index,follow", "argiope");
        assert_eq!(directives, Directives { noindex: false, nofollow: true });
    }
}
