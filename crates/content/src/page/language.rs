//! Language of a page as its head declares it, as ISO 639-1.

/// The primary subtag of a declared language, when it looks like one.
pub(super) fn declared(value: &str) -> Option<String> {
    let primary = value.trim().split(['-', '_', ',', ';']).next()?.to_ascii_lowercase();
    (primary.len() == 2 && primary.bytes().all(|byte| byte.is_ascii_lowercase())).then_some(primary)
}
