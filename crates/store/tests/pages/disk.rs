//! A shared directory whose disk is full or becomes read-only: errors that pass, and nothing half written.
//!
//! The disk is a small file system in memory, in a mount namespace of the test's own.

use crate::directory::open;
use crate::namespace::{Side, enter};
use argiope_protocol::{PageKey, TenantId};
use argiope_store::conformance::pages::{new_page, page_url};
use argiope_store::{Error, PageStore, ServerFault};
use std::path::Path;
use std::process::Command;

const SET_UP: &str = "mkdir -p /tmp/argiope-pages-disk; mount -t tmpfs -o size=4m tmpfs /tmp/argiope-pages-disk";
const DISK: &str = "/tmp/argiope-pages-disk";

/// Does not compress.
fn noise(n: u64, bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&n.to_le_bytes());
    hasher.finalize_xof().fill({
        out.resize(bytes, 0);
        &mut out
    });
    out
}

#[test]
fn fault_a_full_or_read_only_disk_takes_nothing_and_loses_nothing() {
    let name = "disk::fault_a_full_or_read_only_disk_takes_nothing_and_loses_nothing";
    if enter(name, &["-r", "-m"], SET_UP) != Side::Inside {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = open(Path::new(DISK)).await;
        let tenant = TenantId::default();
        let mut n_stored = 0;
        let error = loop {
            match store.put(new_page(&page_url(n_stored), 1, &noise(n_stored, 200_000))).await {
                Ok(()) => n_stored += 1,
                Err(error) => break error,
            }
            assert!(n_stored < 100, "a disk of 4 MiB took 20 MB");
        };
        assert!(matches!(error, Error::DiskFull { .. }) && error.is_retryable(), "{error}");
        assert!(n_stored > 5, "{n_stored} pages");
        assert_eq!(store.verify().await.unwrap(), [""; 0]);
        assert_eq!(store.scan(&tenant, None, 1_000).await.unwrap().len() as u64, n_stored);
        assert!(std::fs::read_dir(Path::new(DISK).join("tmp")).unwrap().next().is_none(), "half a file is left");
        for n in 0..3 {
            store.delete(&tenant, &PageKey::of(&page_url(n))).await.unwrap();
        }
        remount("ro");
        let error = store.put(new_page(&page_url(900), 1, b"small")).await.unwrap_err();
        assert!(matches!(error, Error::Server { fault: ServerFault::ReadOnly, .. }) && error.is_retryable(), "{error}");
        let reader = open(Path::new(DISK)).await;
        for store in [&store, &reader] {
            assert!(store.record(&tenant, &PageKey::of(&page_url(4))).await.unwrap().is_some());
        }
        remount("rw");
        store.put(new_page(&page_url(900), 1, b"small")).await.unwrap();
        assert_eq!(store.verify().await.unwrap(), [""; 0]);
    });
}

fn remount(mode: &str) {
    let done = Command::new("mount").args(["-o", &format!("remount,{mode}"), DISK]).status();
    assert!(done.unwrap().success(), "the disk cannot be made {mode}");
}
