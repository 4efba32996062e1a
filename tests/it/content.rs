//! Pages for tests: generated ones that can be changed while they are served, and small ones by path.

use argiope_testkit::http::{Body, Request, Response};
use argiope_testkit::site::{Content, Generated, SiteHost};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is served instead of a generated page.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// The page with one text in the place of another.
    Replace(String, String),
    /// This status.
    Status(u16),
    /// A redirect to a path of the host with this number.
    ToHost(usize, String),
}

/// A generated host that can be changed.
pub(crate) struct Edited {
    generated: Generated,
    changes: Arc<Mutex<BTreeMap<String, Change>>>,
}

/// Changes an [`Edited`] host while it is served.
#[derive(Clone)]
pub(crate) struct Editor(Arc<Mutex<BTreeMap<String, Change>>>);

impl Editor {
    pub(crate) fn set(&self, path: &str, change: Change) {
        lock(&self.0).insert(path.to_owned(), change);
    }
}

impl Edited {
    pub(crate) fn new(generated: Generated) -> (Self, Editor) {
        let changes = Arc::default();
        (Self { generated, changes: Arc::clone(&changes) }, Editor(changes))
    }
}

impl Content for Edited {
    fn answer(&self, request: &Request, hosts: &[SiteHost]) -> Response {
        let change = lock(&self.changes).get(request.path()).cloned();
        match change {
            None => self.generated.answer(request, hosts),
            Some(Change::Status(status)) => Response::status(status),
            Some(Change::ToHost(host, path)) => Response::redirect(302, &hosts[host].url_like(request, &path)),
            Some(Change::Replace(from, to)) => {
                // Without validators, so that the whole page comes.
                let is_validator = |name: &str| name.starts_with("if-");
                let mut plain = request.clone();
                plain.headers.retain(|(name, _)| !is_validator(name));
                let Body::Full(bytes) = self.generated.answer(&plain, hosts).body else { return Response::status(500) };
                let text = String::from_utf8_lossy(&bytes).replace(&from, &to);
                Response::html(text).conditional(request, None)
            }
        }
    }
}

/// A host whose answers are a function of the request.
pub(crate) struct Answers<F>(pub(crate) F);

impl<F: Fn(&Request, &[SiteHost]) -> Response + Send + Sync + 'static> Content for Answers<F> {
    fn answer(&self, request: &Request, hosts: &[SiteHost]) -> Response {
        (self.0)(request, hosts)
    }
}

/// A small page with a text and links.
pub(crate) fn page(title: &str, links: &[String]) -> Response {
    let links: String = links.iter().map(|link| format!("<li><a href=\"{link}\">see also</a>\n")).collect();
    Response::html(format!(
        "<!doctype html><title>{title}</title><main><h1>{title}</h1>\n\
         <p>This page is about {title} and about nothing else, in a sentence that is long enough to be kept.</p>\n\
         <ul>{links}</ul></main>"
    ))
}

/// A robots.txt of these lines.
pub(crate) fn robots(lines: &str) -> Response {
    Response::ok("text/plain", lines.to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
