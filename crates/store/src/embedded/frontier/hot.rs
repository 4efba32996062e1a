//! Rows that nearly every call reads and writes (claims, ledgers, hosts and their shares), decoded, beside the table.
//!
//! The writer is the only one that changes rows, so what it decoded once stays true from group to group. A changed
//! row is written once a group, however many calls of it changed the row. A row is deferred only when the table has it
//! already: scans then meet its key and ask here for its value. A group that does not commit drops all of this.

use super::keys::Key;
use super::record::seal;
use crate::Result;
use serde::Serialize;
use std::any::Any;
use std::collections::HashMap;

/// Rows kept from one group to the next: some 300 B each, three a busy host.
const MAX_KEPT: usize = 8_192;

/// Seals a changed row of one type.
type Seal = fn(&[u8], &dyn Any) -> Result<Vec<u8>>;

struct Row {
    value: Box<dyn Any + Send>,
    /// How to write it; `None` while the table has the same.
    changed: Option<Seal>,
}

/// The decoded rows.
#[derive(Default)]
pub(super) struct Hot {
    rows: HashMap<Key, Row>,
}

impl Hot {
    /// The row under `key`, when it is kept.
    pub(super) fn get<T: Clone + 'static>(&self, key: &[u8]) -> Option<T> {
        self.rows.get(key)?.value.downcast_ref::<T>().cloned()
    }

    /// Keeps a row as the table has it.
    pub(super) fn keep<T: Send + 'static>(&mut self, key: &[u8], value: T) {
        self.rows.insert(key.to_vec(), Row { value: Box::new(value), changed: None });
    }

    /// Changes a kept row; `false` when none is kept, so that the table must be written now.
    pub(super) fn change<T: Serialize + Clone + Send + 'static>(&mut self, key: &[u8], value: &T) -> bool {
        let Some(row) = self.rows.get_mut(key) else { return false };
        row.value = Box::new(value.clone());
        row.changed = Some(seal_as::<T>);
        true
    }

    /// The row is gone from the table.
    pub(super) fn forget(&mut self, key: &[u8]) {
        self.rows.remove(key);
    }

    /// The changed rows, sealed, in key order; from now on they are as in the table.
    pub(super) fn take_changed(&mut self) -> Result<Vec<(Key, Vec<u8>)>> {
        let mut changed = Vec::new();
        for (key, row) in &mut self.rows {
            if let Some(seal) = row.changed.take() {
                changed.push((key.clone(), seal(key, row.value.as_ref())?));
            }
        }
        changed.sort_unstable();
        if self.rows.len() > MAX_KEPT {
            self.rows.clear();
        }
        Ok(changed)
    }
}

fn seal_as<T: Serialize + 'static>(key: &[u8], value: &dyn Any) -> Result<Vec<u8>> {
    let value = value.downcast_ref::<T>().expect("a row is sealed as the type it was changed as");
    seal(key, value)
}
