//! A small HTTP/1.1 server for the demo site. Loopback only, GET and HEAD only, one answer a connection.

use super::pages::PAGES;
use super::render;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Bytes of a request head.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Time for one exchange.
const DEADLINE: Duration = Duration::from_secs(10);
/// Connections at once.
const MAX_CONNECTIONS: usize = 64;

/// The running site; it ends with this value.
#[derive(Debug)]
pub(crate) struct Site {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

/// What is served at a path.
#[derive(Debug)]
struct Resource {
    content_type: &'static str,
    etag: String,
    body: String,
}

impl Site {
    /// Listens on 127.0.0.1; port 0 is any free one.
    ///
    /// # Errors
    /// When the port is taken.
    pub(crate) async fn start(port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let resources = Arc::new(resources(address));
        let task = tokio::spawn(serve(listener, resources));
        Ok(Self { address, task })
    }

    /// The start page.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, resources: Arc<BTreeMap<String, Resource>>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors: connections that end give some back.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let resources = resources.clone();
        tokio::spawn(async move {
            // A client that goes away in the middle concerns nobody.
            let _ = tokio::time::timeout(DEADLINE, exchange(stream, &resources)).await;
            drop(slot);
        });
    }
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    resources: &BTreeMap<String, Resource>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut buffer = [0_u8; 2_048];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let n_bytes = stream.read(&mut buffer).await?;
        if n_bytes == 0 || head.len() + n_bytes > MAX_HEAD_BYTES {
            return Ok(());
        }
        head.extend(buffer.iter().take(n_bytes));
    }
    let answer = answer(&String::from_utf8_lossy(&head), resources);
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// The whole answer to a request head.
fn answer(head: &str, resources: &BTreeMap<String, Resource>) -> String {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !matches!(method, "GET" | "HEAD") {
        return response("405 Method Not Allowed", "allow: GET, HEAD\r\n", "text/plain", "", true);
    }
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let has_body = method == "GET";
    let Some(resource) = resources.get(path) else {
        return response("404 Not Found", "", "text/html; charset=utf-8", "<h1>There is no such page</h1>\n", has_body);
    };
    let etag = format!("etag: {}\r\n", resource.etag);
    let known =
        lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("if-none-match"));
    if known.is_some_and(|(_, value)| value.trim() == resource.etag) {
        return response("304 Not Modified", &etag, resource.content_type, "", false);
    }
    response("200 OK", &etag, resource.content_type, &resource.body, has_body)
}

fn response(status: &str, fields: &str, content_type: &str, body: &str, has_body: bool) -> String {
    let mut text = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n{fields}connection: close\r\n\r\n",
        body.len()
    );
    if has_body {
        text.push_str(body);
    }
    text
}

fn resources(address: SocketAddr) -> BTreeMap<String, Resource> {
    let mut resources = BTreeMap::new();
    let mut add = |path: String, content_type: &'static str, body: String| {
        let etag = format!("\"{}\"", uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, body.as_bytes()).simple());
        resources.insert(path, Resource { content_type, etag, body });
    };
    let mut sitemap =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n"
            .to_owned();
    for page in PAGES {
        let html = render::page(page);
        let path = format!("/{}.html", page.name);
        let _ = writeln!(sitemap, "<url><loc>http://{address}{path}</loc></url>");
        if page.name == "index" {
            add("/".to_owned(), "text/html; charset=utf-8", html.clone());
        }
        add(path, "text/html; charset=utf-8", html);
    }
    sitemap.push_str("</urlset>\n");
    add("/sitemap.xml".to_owned(), "application/xml", sitemap);
    let robots = format!("User-agent: *\nDisallow: /private/\nSitemap: http://{address}/sitemap.xml\n");
    add("/robots.txt".to_owned(), "text/plain; charset=utf-8", robots);
    resources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_answered_with_validators() {
        let resources = resources(SocketAddr::from(([127, 0, 0, 1], 80)));
        let check = |head: &str, expected: &str| {
            let answer = answer(head, &resources);
            assert!(answer.starts_with(&format!("HTTP/1.1 {expected}\r\n")), "{head}: {answer}");
            answer
        };
        let first = check("GET / HTTP/1.1\r\n\r\n", "200 OK");
        let etag = first.split("etag: ").nth(1).unwrap().split("\r\n").next().unwrap();
        check(&format!("GET /?q HTTP/1.1\r\nIf-None-Match: {etag}\r\n\r\n"), "304 Not Modified");
        let head = check("HEAD /robots.txt HTTP/1.1\r\n\r\n", "200 OK");
        assert!(head.ends_with("\r\n\r\n"));
        check("GET /nothing HTTP/1.1\r\n\r\n", "404 Not Found");
        check("POST / HTTP/1.1\r\n\r\n", "405 Method Not Allowed");
        check("", "405 Method Not Allowed");
        assert!(resources["/sitemap.xml"].body.contains("/resume.html"));
    }
}
