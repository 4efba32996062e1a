//! Rules of the source tree that no compiler checks. Each rule is a function from text to offences, is run over the
//! whole tree, and is shown to fail on a bad snippet. Text is judged line by line, without parsing Rust: a rule may
//! miss a disguise, but it must not cry at honest code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file before its tests.
const MAX_FILE_LINES: usize = 500;
/// Lines of a function.
const MAX_FUNCTION_LINES: usize = 80;

/// A source file: its path from the workspace root, with `/`, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether all of it is test or measuring code.
    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name == "tests.rs"
            || ["/tests/", "/benches/", "/examples/", "/conformance/"].iter().any(|part| self.path.contains(part))
            || ["tests/", "benches/", "tools/"].iter().any(|part| self.path.starts_with(part))
    }

    /// Numbered lines that ship: none of a test file, else those before the first `#[cfg(test)]` that opens a
    /// block; comments and what stands in string literals blanked.
    fn shipped(&self) -> Vec<(usize, String)> {
        if self.is_test() { Vec::new() } else { self.before_tests() }
    }

    fn before_tests(&self) -> Vec<(usize, String)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let opens_tests = |n: usize| {
            lines[n].trim_start() == "#[cfg(test)]"
                && lines.get(n + 1).is_some_and(|next| next.trim_end().ends_with('{'))
        };
        let end = (0..lines.len()).find(|n| opens_tests(*n)).unwrap_or(lines.len());
        lines[..end].iter().enumerate().map(|(n, line)| (n + 1, code_of(line))).collect()
    }
}

/// A line without comment and without the insides of string literals.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut characters = line.chars().peekable();
    let mut is_string = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' if is_string => drop(characters.next()),
            // A quote as a character literal opens nothing.
            '\'' if !is_string && characters.peek() == Some(&'"') => drop(characters.next()),
            '"' => {
                is_string = !is_string;
                code.push('"');
            }
            '/' if !is_string && characters.peek() == Some(&'/') => return code,
            _ if is_string => {}
            _ => code.push(character),
        }
    }
    code
}

type Offences = Vec<String>;

fn each_line(source: &Source, words: &[&str], why: &str) -> Offences {
    let lines = source.shipped();
    let hits = lines.iter().filter(|(_, code)| words.iter().any(|word| code.contains(word)));
    hits.map(|(n, code)| format!("{}:{n}: {why}: {}", source.path, code.trim())).collect()
}

fn file_length(source: &Source) -> Offences {
    let n_lines = if source.is_test() { 0 } else { source.before_tests().len() };
    let is_long = n_lines > MAX_FILE_LINES;
    is_long.then(|| format!("{}: {n_lines} lines before its tests", source.path)).into_iter().collect()
}

/// From a line with `fn ` to the line that closes at the same indent, as rustfmt writes it.
fn function_length(source: &Source) -> Offences {
    let lines = source.shipped();
    let mut offences = Vec::new();
    for (at, (n, code)) in lines.iter().enumerate() {
        let is_function = code.trim_start().starts_with("fn ") || code.contains(" fn ");
        if !is_function || code.trim_end().ends_with(';') || code.trim_end().ends_with('}') {
            continue;
        }
        let indent = code.len() - code.trim_start().len();
        let closing = format!("{}}}", " ".repeat(indent));
        let length = lines[at..].iter().position(|(_, line)| line.trim_end() == closing).map_or(0, |length| length + 1);
        if length > MAX_FUNCTION_LINES {
            offences.push(format!("{}:{n}: a function of {length} lines", source.path));
        }
    }
    offences
}

fn unbounded_channels(source: &Source) -> Offences {
    let words = ["unbounded_channel", "mpsc::channel()", "channel::unbounded", "UnboundedSender", "UnboundedReceiver"];
    each_line(source, &words, "an unbounded channel")
}

fn stubs(source: &Source) -> Offences {
    each_line(source, &["todo!", "unimplemented!", "dbg!("], "a stub")
}

fn unwraps(source: &Source) -> Offences {
    each_line(source, &[".unwrap()"], "an unwrap outside tests")
}

/// In tests above all, so over the whole text; this file spells the words in pieces.
fn hidden_tests(source: &Source) -> Offences {
    let words = [["#[", "ignore"].concat(), ["#[", "should_panic"].concat()];
    let lines = source.text.lines().enumerate();
    let hits = lines.filter(|(_, line)| words.iter().any(|word| line.trim_start().starts_with(word.as_str())));
    hits.map(|(n, line)| format!("{}:{}: a test that hides: {}", source.path, n + 1, line.trim())).collect()
}

/// The link to other nodes is no target of a crawl, whose policy would deny private addresses: one file of it connects.
const LINK_SOCKET: &str = "crates/node/src/cluster/link/socket.rs";

fn sockets(source: &Source) -> Offences {
    if source.path.starts_with("crates/egress/") || source.path == LINK_SOCKET {
        return Vec::new();
    }
    each_line(source, &["TcpStream", "UdpSocket", "reqwest"], "only crates/egress opens outgoing sockets")
}

/// Any text file. Home directories of people and of CI, in pieces, since this file is checked too.
fn machine_paths(source: &Source) -> Offences {
    let words = [["/ho", "me/"].concat(), ["/ro", "ot/"].concat(), ["/wo", "rk/"].concat(), ["/Use", "rs/"].concat()];
    let is_path = |line: &str, word: &str| {
        line.match_indices(word).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '.' | '_' | '-' | '}' | '/' | ')' | '~'))
        })
    };
    let lines = source.text.lines().enumerate();
    let hits = lines.filter(|(_, line)| words.iter().any(|word| is_path(line, word)));
    hits.map(|(n, _)| format!("{}:{}: a path of one machine", source.path, n + 1)).collect()
}

fn crate_story(source: &Source) -> Offences {
    let is_root = source.path.starts_with("crates/") && source.path.ends_with("/src/lib.rs");
    let is_untold = is_root && !source.text.starts_with("//!");
    is_untold.then(|| format!("{}: does not begin with //!", source.path)).into_iter().collect()
}

/// Codes of the table in protocol's `error.rs` against pages in `docs/errors`.
fn error_pages(table: &str, pages: &BTreeSet<String>) -> Offences {
    let quoted = table.split('"').skip(1).step_by(2);
    let is_code =
        |text: &&str| text.strip_prefix("AR").is_some_and(|n| n.len() == 4 && n.bytes().all(|b| b.is_ascii_digit()));
    // Between quotes only: the table's doc comments hold none around codes.
    let codes: BTreeSet<String> = quoted.filter(is_code).map(str::to_owned).collect();
    let no_page = codes.difference(pages).map(|code| format!("docs/errors/{code}.md is missing"));
    let no_code = pages.difference(&codes).map(|page| format!("docs/errors/{page}.md explains no error code"));
    no_page.chain(no_code).collect()
}

/// A changelog fragment by its file's name and text: one line, and a kind that the release knows.
fn fragment(name: &str, text: &str) -> Offences {
    let is_known = ["added", "changed", "fixed", "removed"].iter().any(|kind| {
        name.strip_suffix(&format!(".{kind}.md")).is_some_and(|what| !what.is_empty() && !what.contains('.'))
    });
    let is_line = text.ends_with(".\n") && text.lines().count() == 1;
    let offence = |what: &str| format!("changelog.d/{name}: {what}");
    let named = (!is_known).then(|| offence("not named WHAT.added|changed|fixed|removed.md"));
    let formed = (!is_line).then(|| offence("not one line that ends with a full stop"));
    named.into_iter().chain(formed).collect()
}

/// Which of our crates each crate may name (DESIGN §4: arrows point one way).
const ARROWS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("content", &["protocol"]),
    ("egress", &["protocol"]),
    ("store", &["protocol"]),
    ("actors", &["protocol", "content", "egress", "store"]),
    ("node", &["protocol", "content", "egress", "store", "actors"]),
];

/// Arrows of one manifest. Dependencies of tests may point anywhere downwards too, so they are not exempt; beside
/// that they may name the test kit.
fn arrows(name: &str, manifest: &str) -> Offences {
    let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
        return vec![format!("crates/{name}: not in the graph of tests/tidy.rs")];
    };
    fn named(part: &str) -> impl Iterator<Item = &str> {
        let ours = part.lines().filter_map(|line| line.trim().strip_prefix("argiope-"));
        ours.map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default())
    }
    let (ships, tests) = manifest.split_once("[dev-dependencies]").unwrap_or((manifest, ""));
    let all = named(ships).chain(named(tests).filter(|dependency| *dependency != "testkit"));
    let wrong = all.filter(|dependency| !allowed.contains(dependency));
    wrong.map(|dependency| format!("crates/{name}/Cargo.toml: {name} may not depend on {dependency}")).collect()
}

/// Up from the crate that runs this to the directory whose Cargo.toml is the workspace's.
fn root() -> PathBuf {
    let start = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_root = |path: &&Path| {
        fs::read_to_string(path.join("Cargo.toml")).is_ok_and(|text| text.lines().any(|line| line == "[workspace]"))
    };
    start.ancestors().find(is_root).expect("a crate of the workspace lies below its root").to_owned()
}

/// All text files with one of `endings` below the root; build output and hidden directories but `.ci` and
/// `.config` left out.
fn sources(endings: &[&str]) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut waiting = vec![root.clone()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).expect("directories of the tree can be read") {
            let path = entry.expect("entries of the tree can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_symlink() || (name.starts_with('.') && name != ".ci" && name != ".config") {
                continue;
            }
            if path.is_dir() {
                if name != "target" {
                    waiting.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending))
                && let Ok(text) = fs::read_to_string(&path)
            {
                let path = path.strip_prefix(&root).expect("it was found below the root");
                found.push(Source { path: path.to_string_lossy().replace('\\', "/"), text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

#[track_caller]
fn report(offences: Offences) {
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[track_caller]
fn holds_everywhere(rule: fn(&Source) -> Offences) {
    let sources = sources(&[".rs"]);
    assert!(sources.len() > 20, "the tree was not found");
    report(sources.iter().flat_map(rule).collect());
}

/// The rule finds something in `bad`, and nothing in `good`.
#[track_caller]
fn check(rule: fn(&Source) -> Offences, path: &str, bad: &str, good: &str) {
    assert!(!rule(&Source::new(path, bad)).is_empty(), "{path} passed:\n{bad}");
    report(rule(&Source::new(path, good)));
}

const ANY: &str = "crates/x/src/a.rs";

#[test]
fn files_are_short() {
    let many = "a();\n".repeat(MAX_FILE_LINES + 1);
    check(file_length, ANY, &many, &format!("a();\n#[cfg(test)]\nmod tests {{\n{many}}}\n"));
    holds_everywhere(file_length);
}

#[test]
fn functions_are_short() {
    let of_lines = |n: usize| format!("    pub fn a() {{\n{}    }}\n", "        b();\n".repeat(n - 2));
    check(function_length, ANY, &of_lines(MAX_FUNCTION_LINES + 1), &of_lines(MAX_FUNCTION_LINES));
    holds_everywhere(function_length);
}

#[test]
fn every_channel_has_a_bound() {
    check(unbounded_channels, ANY, "let (a, b) = mpsc::unbounded_channel();", "let (a, b) = mpsc::channel(8);");
    holds_everywhere(unbounded_channels);
}

#[test]
fn nothing_is_a_stub() {
    check(stubs, ANY, "fn a() { todo!() }", "// todo! is a word\nlet a = \"todo!\";");
    holds_everywhere(stubs);
}

#[test]
fn nothing_unwraps_outside_tests() {
    let in_tests = "a();\n#[cfg(test)]\nmod tests {\n    a().unwrap();\n}\n";
    check(unwraps, ANY, "a().unwrap();", in_tests);
    check(unwraps, ANY, "#[cfg(test)]\nmod tests;\na().unwrap();", "a().expect(\"proof\"); // .unwrap()");
    check(unwraps, ANY, "f('\"').unwrap();", "f(\"\\\".unwrap()\");");
    holds_everywhere(unwraps);
}

#[test]
fn no_test_hides() {
    let hiding = ["#[test]\n#[", "ignore = \"slow\"]\nfn a() {}"].concat();
    check(hidden_tests, "tests/a.rs", &hiding, "#[test]\nfn a() {}");
    check(hidden_tests, ANY, &["#[", "should_panic]"].concat(), "");
    holds_everywhere(hidden_tests);
}

#[test]
fn only_egress_opens_sockets() {
    check(sockets, ANY, "use tokio::net::TcpStream;", "use tokio::net::TcpListener;");
    report(sockets(&Source::new("crates/egress/src/a.rs", "use tokio::net::TcpStream;")));
    report(sockets(&Source::new("crates/x/tests/a.rs", "use tokio::net::TcpStream;")));
    report(sockets(&Source::new(LINK_SOCKET, "use tokio::net::TcpStream;")));
    holds_everywhere(sockets);
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    let bad = ["let path = \"/ho", "me/ada/x\";"].concat();
    check(machine_paths, ANY, &bad, "let url = \"https://example.org/home/\"; // $HOME/x");
    let all = sources(&[".rs", ".toml", ".md", ".yml", ".yaml", ".py", ".sh", "/check", "/run", "justfile"]);
    report(all.iter().flat_map(machine_paths).collect());
}

#[test]
fn every_crate_tells_its_story() {
    check(crate_story, "crates/x/src/lib.rs", "pub mod a;", "//! A story.\npub mod a;");
    holds_everywhere(crate_story);
}

#[test]
fn every_error_code_has_its_page() {
    let pages = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let table = "A = \"AR0001\", exit 2, \"a\";\nB = \"AR0002\", exit 2, \"b\";";
    assert_eq!(error_pages(table, &pages(&["AR0001", "AR0009"])).len(), 2);
    report(error_pages(table, &pages(&["AR0001", "AR0002"])));

    let root = root();
    let path = root.join("crates/protocol/src/error.rs");
    let table = fs::read_to_string(path).expect("the table of error codes can be read");
    let table = table.split_once("error_codes! {").expect("the table is made by its macro").1;
    let files = fs::read_dir(root.join("docs/errors")).into_iter().flatten().flatten();
    let names = files.filter_map(|file| file.file_name().to_str()?.strip_suffix(".md").map(str::to_owned));
    let pages: BTreeSet<String> = names.filter(|name| name != "README").collect();
    report(error_pages(table, &pages));
}

#[test]
fn changelog_fragments_are_one_line_each() {
    assert_eq!(fragment("thing.md", "It works.\n").len(), 1);
    assert_eq!(fragment("thing.added.md", "It works.\nAnd more.\n").len(), 1);
    assert_eq!(fragment("a.b.fixed.md", "it works").len(), 2);
    report(fragment("thing.added.md", "It works.\n"));

    let files: Vec<_> = fs::read_dir(root().join("changelog.d")).expect("fragments can be listed").flatten().collect();
    assert!(files.len() > 1, "no fragment was found");
    let fragments = files.iter().filter(|file| file.file_name() != "README.md");
    report(
        fragments
            .flat_map(|file| {
                let text = fs::read_to_string(file.path()).expect("a fragment can be read");
                fragment(&file.file_name().to_string_lossy(), &text)
            })
            .collect(),
    );
}

#[test]
fn crates_depend_in_one_direction() {
    let upwards = "[dev-dependencies]\nargiope-actors.workspace = true\n";
    assert_eq!(arrows("store", upwards), ["crates/store/Cargo.toml: store may not depend on actors"]);
    assert_eq!(arrows("content", "argiope-egress = { path = \"../egress\" }").len(), 1);
    assert_eq!(arrows("new", "").len(), 1);
    assert_eq!(arrows("node", "[dependencies]\nargiope-testkit.workspace = true\n[dev-dependencies]\n").len(), 1);
    report(arrows("node", "[dev-dependencies]\nargiope-testkit.workspace = true\n"));
    report(arrows("actors", "argiope-store.workspace = true\nserde.workspace = true\n"));

    let crates = root().join("crates");
    let mut offences = Vec::new();
    for entry in fs::read_dir(&crates).expect("crates can be listed").flatten() {
        if let Ok(manifest) = fs::read_to_string(entry.path().join("Cargo.toml")) {
            offences.extend(arrows(&entry.file_name().to_string_lossy(), &manifest));
        }
    }
    report(offences);
}
