//! A disk that fills up while a crawl runs: it says so, waits, goes on when there is room, and loses nothing.
//!
//! The disk is a small file system in memory, in a mount namespace of the test's own.

use crate::namespace::{Side, enter};
use crate::origin::Origin;
use crate::place::{PATIENCE, Place, Running, check_balance};
use argiope_testkit::site::Generated;
use argiope_testkit::{Behaviour, Site};
use std::path::Path;
use std::time::Duration;

const N_PAGES: usize = 60;
const MIB: u64 = 1024 * 1024;
/// Of a disk of 512 MiB the reserve is 5 %.
const SET_UP: &str = "mkdir -p /tmp/argiope-it-disk; mount -t tmpfs -o size=512m tmpfs /tmp/argiope-it-disk";
const DISK: &str = "/tmp/argiope-it-disk";
/// Left by the ballast: less than the reserve, but room for the frontier's own small writes.
const LEFT: u64 = 12 * MIB;

#[test]
fn fault_a_full_disk_holds_the_crawl_and_loses_nothing() {
    let name = "disk::fault_a_full_disk_holds_the_crawl_and_loses_nothing";
    if enter(name, &["-r", "-m"], SET_UP) != Side::Inside {
        return;
    }
    let origin = Origin::start(Site::builder().host("h0.test", Generated::new(0, N_PAGES, 4), Behaviour::default()));
    let place = Place::on(Path::new(DISK));
    let mut running = place.start_crawl(&origin.seeds(), &["--delay", "0.02"]);
    running.wait_for_stored(5);

    let ballast = Path::new(DISK).join("ballast");
    fill(&ballast);
    running.wait_for("a held event", |line| line["event"] == "held");
    let held = running.lines().into_iter().find(|line| line["event"] == "held").expect("it was seen");
    assert_eq!(held["code"], "AR0205", "{held}");
    let n_held = n_stored(&running);
    std::thread::sleep(Duration::from_secs(2));
    assert!(n_stored(&running) <= n_held + 4, "pages are stored on a full disk");
    assert!(n_held < N_PAGES as u64, "the crawl ended before the disk was full");
    std::fs::remove_file(&ballast).expect("the ballast goes");

    let ended = running.wait(PATIENCE);
    assert!(ended.events("released").next().is_some(), "{ended:?}");
    ended.check_ledger(0, [N_PAGES as u64, 0, 10, 0]);
    check_balance(ended.summary());
    assert_eq!(place.export().len(), N_PAGES);
    assert_eq!(place.verify()["heads"], N_PAGES);

    // A crawl that is killed while it is held loses nothing either.
    fill(&ballast);
    let held = place.start_crawl(&origin.seeds(), &["--delay", "0"]).kill_after(Duration::from_secs(3));
    assert!(held.is_none_or(|ended| ended.stderr.contains("AR0205") || ended.status == Some(0)));
    std::fs::remove_file(&ballast).expect("the ballast goes");
    let again = place.crawl(&origin.seeds(), &["--delay", "0"]);
    assert_eq!(again.status, Some(0), "{again:?}");
    check_balance(again.summary());
    assert_eq!(place.verify()["heads"], N_PAGES);
}

fn n_stored(running: &Running) -> u64 {
    running.lines().iter().filter_map(|line| line["stored"].as_u64()).max().unwrap_or(0)
}

/// Writes zeros until little is left. Not sparse: a file system in memory gives room only to what is written.
fn fill(ballast: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(ballast).expect("a file");
    let block = vec![0; usize::try_from(MIB).expect("small")];
    loop {
        let space = rustix::fs::statvfs(DISK).expect("the disk answers");
        if space.f_bavail * space.f_frsize <= LEFT {
            return;
        }
        file.write_all(&block).expect("there is room");
    }
}
