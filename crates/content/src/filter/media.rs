//! File names of what is never turned into text.

use argiope_protocol::CanonicalUrl;

/// Images, audio, video, archives and packages, fonts, binaries, style sheets and scripts. Lower case, sorted.
/// Documents (`pdf`, `docx`, `odt`) are not here: they are fetched, and turned into text by a later version.
/// Not here either: endings that are also words or source code (`com`, `ts`, `ps`, `key`).
const MEDIA_EXTENSIONS: &[&str] = &[
    "7z", "aac", "aif", "aiff", "apk", "appimage", "avi", "avif", "bin", "bmp", "bz2", "cab", "class", "crx", "css",
    "cur", "deb", "dll", "dmg", "dylib", "eot", "exe", "flac", "flatpak", "flv", "gif", "gz", "heic", "heif", "ico",
    "img", "iso", "jar", "jpeg", "jpg", "jxl", "js", "lz", "lz4", "lzma", "m4a", "m4v", "map", "mid", "midi", "mjs",
    "mkv", "mov", "mp3", "mp4", "mpeg", "mpg", "msi", "oga", "ogg", "ogv", "opus", "otf", "pkg", "png", "psd", "pyc",
    "rar", "rpm", "snap", "so", "svg", "svgz", "swf", "tar", "tbz2", "tgz", "tif", "tiff", "ttf", "txz", "war", "wasm",
    "wav", "weba", "webm", "webp", "whl", "wma", "wmv", "woff", "woff2", "xpi", "xz", "zip", "zst",
];

/// Whether the last segment's name ends like a media file's.
///
/// Wikis are exempt: below `/wiki/`, and in names with a colon (`File:Map.png`), an ending belongs to a title.
pub(super) fn is_media(url: &CanonicalUrl) -> bool {
    let mut segments = url.as_url().path().rsplit('/');
    let Some((stem, extension)) = segments.next().and_then(|name| name.rsplit_once('.')) else { return false };
    let is_wiki = segments.next() == Some("wiki") || stem.contains(':') || stem.contains("%3A");
    !is_wiki && extension.len() <= 8 && MEDIA_EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str())
}
