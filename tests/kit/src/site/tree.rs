//! A directory served as a host, as a plain web server would.

use super::{Content, SiteHost};
use crate::http::{Request, Response};
use std::fmt::Write as _;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Entries of the sitemap: what the protocol allows in one file.
const MAX_SITEMAP_ENTRIES: usize = 50_000;

/// A directory tree. Files of its own named `robots.txt` and `sitemap.xml` come first; else both are made from the
/// tree's HTML files.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    pages: Vec<String>,
}

impl Tree {
    /// Lists the tree's HTML files.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn open(root: &Path) -> io::Result<Self> {
        let root = root.canonicalize()?;
        let mut pages = Vec::new();
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory)? {
                let path = entry?.path();
                if path.is_dir() && !path.is_symlink() {
                    directories.push(path);
                } else if is_html(&path) {
                    pages.extend(path.strip_prefix(&root).ok().map(url_path));
                }
            }
        }
        pages.sort_unstable();
        Ok(Self { root, pages })
    }

    /// URL paths of the HTML files, sorted: the independent walk that a crawl is compared with.
    #[must_use]
    pub fn pages(&self) -> &[String] {
        &self.pages
    }

    fn file(&self, path: &Path, request: &Request) -> Response {
        let Ok(body) = std::fs::read(path) else { return Response::status(404) };
        let modified = path.metadata().and_then(|metadata| metadata.modified()).ok();
        let since_epoch = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let date = since_epoch.and_then(|time| http_date(time.as_secs()));
        Response::ok(media_type(path), body).conditional(request, date.as_deref())
    }

    fn sitemap(&self, request: &Request) -> String {
        let mut xml =
            "<?xml version=\"1.0\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n".to_owned();
        for path in self.pages.iter().take(MAX_SITEMAP_ENTRIES) {
            let _ = writeln!(xml, "<url><loc>http://{}{}</loc></url>", request.authority(), path.replace('&', "&amp;"));
        }
        xml + "</urlset>\n"
    }
}

impl Content for Tree {
    fn answer(&self, request: &Request, _hosts: &[SiteHost]) -> Response {
        let Some(relative) = file_path(request.path()) else { return Response::status(400) };
        // Links out of the tree are not followed: Debian's documentation has some into other packages.
        let path = self.root.join(&relative).canonicalize().unwrap_or_default();
        let is_inside = path.starts_with(&self.root);
        match request.path() {
            "/robots.txt" if !path.is_file() => {
                let sitemap = format!("Sitemap: http://{}/sitemap.xml", request.authority());
                Response::ok("text/plain", format!("User-agent: *\nAllow: /\n{sitemap}\n"))
            }
            "/sitemap.xml" if !path.is_file() => Response::ok("application/xml", self.sitemap(request)),
            asked if is_inside && path.is_dir() && !asked.ends_with('/') => {
                Response::redirect(301, &format!("http://{}{asked}/", request.authority()))
            }
            _ if is_inside && path.is_dir() => self.file(&path.join("index.html"), request),
            _ if is_inside && path.is_file() => self.file(&path, request),
            _ => Response::status(404),
        }
    }
}

/// The file that a URL path names, relative and without `..`; `None` when it is not encoded well.
fn file_path(path: &str) -> Option<PathBuf> {
    let mut bytes = Vec::new();
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))?;
    let path = Path::new(text.trim_start_matches('/')).to_owned();
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)).then_some(path)
}

/// The URL path of a relative file; `index.html` is its directory's.
fn url_path(relative: &Path) -> String {
    let text = relative.to_string_lossy();
    let text = match text.strip_suffix("index.html") {
        Some(directory) if directory.is_empty() || directory.ends_with('/') => directory,
        _ => &text,
    };
    let mut path = "/".to_owned();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

fn is_html(path: &Path) -> bool {
    media_type(path).starts_with("text/html")
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("xhtml") => "application/xhtml+xml",
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("json") => "application/json",
        Some("xml") => "application/xml",
        Some("txt" | "rst") => "text/plain; charset=utf-8",
        Some("md") => "text/markdown; charset=utf-8",
        Some("png") => "image/png",
        Some("gif") => "image/gif",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("svg") => "image/svg+xml",
        Some("pdf") => "application/pdf",
        Some("gz") => "application/gzip",
        _ => "application/octet-stream",
    }
}

/// RFC 9110 §5.6.7.
fn http_date(epoch_secs: u64) -> Option<String> {
    let time = jiff::Timestamp::from_second(i64::try_from(epoch_secs).ok()?).ok()?;
    Some(time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_and_never_leave_the_tree() {
        let check =
            |path: &str, expected: Option<&str>| assert_eq!(file_path(path), expected.map(PathBuf::from), "{path}");
        check("/", Some(""));
        check("/a%20b/c.html", Some("a b/c.html"));
        check("/../etc", None);
        check("/a/%2e%2e/%2E%2E/etc", None);
        check("/%", None);
        check("/%zz", None);
        check("//etc", Some("etc"));
        check("/a%00", None);
    }

    #[test]
    fn dates_are_written_as_http_wants_them() {
        assert_eq!(http_date(784_111_777).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    }
}
