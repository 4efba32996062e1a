//! Pages in a directory that several processes share.

use crate::body_of;
use crate::shared::{self, Days, Nodes, today};
use argiope_protocol::{PageKey, TenantId};
use argiope_store::conformance::pages::{all, new_page, page_url};
use argiope_store::embedded::data_dir::DiskReserve;
use argiope_store::objects::{Clock, Location, ObjectOptions, ObjectPages};
use argiope_store::{Error, PageStore};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub(crate) fn options(root: &Path, clock: Clock) -> ObjectOptions {
    ObjectOptions { reserve: DiskReserve::NONE, ..ObjectOptions::new(Location::Directory(root.to_owned()), clock) }
}

pub(crate) async fn open(root: &Path) -> ObjectPages {
    ObjectPages::open(options(root, Days::at(today()).clock())).await.unwrap()
}

impl Nodes for tempfile::TempDir {
    async fn open(&self, clock: Clock) -> ObjectPages {
        ObjectPages::open(options(self.path(), clock)).await.unwrap()
    }

    fn bodies(&self) -> Vec<String> {
        files(self.path(), "bodies")
    }
}

/// Names of files below a folder, relative to the root.
fn files(root: &Path, folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![root.join(folder)];
    while let Some(path) = waiting.pop() {
        for entry in std::fs::read_dir(path).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

/// Makes every file of the directory some days older.
fn age(root: &Path, days: u32) {
    for name in files(root, "bodies").into_iter().chain(files(root, "tmp")) {
        let file = std::fs::OpenOptions::new().write(true).open(root.join(name)).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.set_modified(modified - Duration::from_secs(u64::from(days) * 86_400)).unwrap();
    }
}

fn new() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn a_directory_keeps_the_contract() {
    let mut directories = Vec::new();
    let make = async || {
        directories.push(new());
        open(directories.last().unwrap().path()).await
    };
    all(make).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_put_one_page_at_once_end_at_the_highest_seq() {
    shared::nodes_that_put_one_page_at_once_end_at_the_highest_seq(&new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_highest_epoch_is_kept_whoever_raises_it() {
    shared::the_highest_epoch_is_kept_whoever_raises_it(&new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_touch_never_marries_a_record_to_another_body() {
    shared::a_touch_never_marries_a_record_to_another_body(&new()).await;
}

#[tokio::test]
async fn equal_bodies_are_kept_once_and_a_page_keeps_its_own() {
    shared::equal_bodies_are_kept_once_and_a_page_keeps_its_own(&new()).await;
}

#[tokio::test]
async fn only_old_bodies_that_nobody_names_are_removed() {
    shared::only_old_bodies_that_nobody_names_are_removed(&new()).await;
}

#[tokio::test]
async fn damage_is_named_and_touches_no_other_page() {
    let directory = new();
    let damage = |name: &str| std::fs::write(directory.path().join(name), b"garbage").unwrap();
    shared::damage_is_named_and_touches_no_other_page(&directory, damage).await;
}

#[tokio::test]
async fn a_writer_whose_clock_is_years_behind_loses_no_body_to_the_sweep() {
    let directory = new();
    let behind = directory.open(Days::at(10).clock()).await;
    let store = open(directory.path()).await;
    // As if it had died before it named its body.
    behind.put(new_page(&page_url(1), 1, b"young")).await.unwrap();
    behind.delete(&TenantId::default(), &PageKey::of(&page_url(1))).await.unwrap();
    assert_eq!(store.remove_strays().await.unwrap(), 0, "its file is young");
    age(directory.path(), 3);
    assert_eq!(store.remove_strays().await.unwrap(), 1);
}

#[tokio::test]
async fn files_of_crashed_writers_are_no_objects_and_go_in_time() {
    let directory = new();
    let store = open(directory.path()).await;
    std::fs::write(directory.path().join("tmp/half"), b"half a page").unwrap();
    store.put(new_page(&page_url(1), 1, b"one")).await.unwrap();
    assert_eq!(store.verify().await.unwrap(), [""; 0]);
    assert_eq!(store.remove_strays().await.unwrap(), 0);
    age(directory.path(), 3);
    assert_eq!(store.remove_strays().await.unwrap(), 1);
    assert_eq!(files(directory.path(), "tmp"), [""; 0]);
    assert_eq!(directory.bodies().len(), 1);
}

#[tokio::test]
async fn strangers_in_the_directory_are_left_alone() {
    let directory = new();
    let store = open(directory.path()).await;
    store.put(new_page(&page_url(1), 1, b"one")).await.unwrap();
    for name in ["pages/default/notes.txt", "pages/.nfs0001", "bodies/readme", "bodies/00001/aa/x.warc.zst"] {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"not ours").unwrap();
    }
    assert_eq!(store.scan(&TenantId::default(), None, 10).await.unwrap().len(), 1);
    assert_eq!(store.verify().await.unwrap(), [""; 0]);
    assert_eq!(store.remove_strays().await.unwrap(), 0);
    assert!(directory.path().join("bodies/00001/aa/x.warc.zst").exists());
}

#[tokio::test]
async fn a_directory_that_went_away_is_no_empty_store_and_can_come_back() {
    let directory = new();
    let root = directory.path().join("mounted");
    let store = open(&root).await;
    let page = new_page(&page_url(1), 1, b"one");
    let key = page.record.key;
    store.put(page.clone()).await.unwrap();
    // What a mount point shows when nothing is mounted on it.
    std::fs::rename(&root, directory.path().join("away")).unwrap();
    std::fs::create_dir(&root).unwrap();
    let tenant = TenantId::default();
    let outcomes = [
        store.record(&tenant, &key).await.map(|_| ()),
        store.scan(&tenant, None, 10).await.map(|_| ()),
        store.delete(&tenant, &key).await,
        store.put(page.clone()).await,
    ];
    for (n, outcome) in outcomes.into_iter().enumerate() {
        let error = outcome.expect_err("an unmounted directory answered");
        assert!(error.is_retryable() && error.to_string().contains("mounted"), "{n}: {error}");
    }
    assert!(std::fs::read_dir(&root).unwrap().next().is_none(), "something was written below the mount point");
    std::fs::remove_dir(&root).unwrap();
    std::fs::rename(directory.path().join("away"), &root).unwrap();
    store.put(new_page(&page_url(2), 1, b"two")).await.unwrap();
    assert_eq!(store.scan(&tenant, None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_directory_of_a_newer_version_or_of_somebody_else_is_refused() {
    let directory = new();
    std::fs::write(directory.path().join("format"), "argiope-pages 9\n").unwrap();
    let opened = ObjectPages::open(options(directory.path(), Days::at(1).clock())).await;
    assert!(matches!(opened, Err(Error::Newer { found: 9, .. })), "{opened:?}");
    std::fs::write(directory.path().join("format"), "1\n").unwrap();
    let opened = ObjectPages::open(options(directory.path(), Days::at(1).clock())).await;
    assert!(matches!(opened, Err(Error::Corrupt { .. })), "{opened:?}");
    let absent = ObjectPages::open(options(&directory.path().join("a/b"), Days::at(1).clock())).await;
    assert!(absent.unwrap_err().to_string().contains("a/b"));
}

#[tokio::test]
async fn a_lock_that_another_process_holds_ends_with_the_deadline() {
    let directory = new();
    let short = ObjectOptions {
        call_timeout: Duration::from_millis(200),
        ..options(directory.path(), Days::at(today()).clock())
    };
    let store = ObjectPages::open(short).await.unwrap();
    store.put(new_page(&page_url(1), 1, b"one")).await.unwrap();
    let locks: Vec<std::fs::File> = (0..=255_u8)
        .map(|slot| std::fs::File::create(directory.path().join(format!("locks/{slot:02x}"))).unwrap())
        .collect();
    for lock in &locks {
        lock.lock().unwrap();
    }
    let error = store.put(new_page(&page_url(1), 2, b"two")).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    drop(locks);
    store.put(new_page(&page_url(1), 2, b"two")).await.unwrap();
}

#[tokio::test]
async fn nothing_is_written_into_the_reserve() {
    let directory = new();
    open(directory.path()).await;
    let reserve = DiskReserve { bytes: u64::MAX, share: 1.0 };
    let options = ObjectOptions { reserve, ..options(directory.path(), Days::at(today()).clock()) };
    let store = ObjectPages::open(options).await.unwrap();
    let page = new_page(&page_url(1), 1, b"text");
    assert!(matches!(store.put(page.clone()).await, Err(Error::DiskFull { .. })));
    assert_eq!(store.record(&TenantId::default(), &page.record.key).await.unwrap(), None);
}

#[tokio::test]
async fn bodies_are_read_by_the_zstd_tool() {
    let directory = new();
    let store = open(directory.path()).await;
    store.put(new_page(&page_url(1), 1, &body_of(300, 1))).await.unwrap();
    let body = directory.path().join(&directory.bodies()[0]);
    let Ok(output) = Command::new("zstd").args(["-d", "-c"]).arg(&body).output() else {
        eprintln!("skipped: there is no zstd tool here");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("WARC/1.1\r\nWARC-Type: response\r\n") && text.contains("http://site.test/1"), "{text}");
}
