//! Epochs that were given out before, by a frontier that is not there any more: the pages remember the highest one.

use argiope_protocol::Epoch;
use argiope_store::{PageStore, Result};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Keeps claims above the epochs of what is stored. Cheap to clone.
#[derive(Clone)]
pub struct EpochFloor {
    pages: Arc<dyn PageStore>,
    least: Epoch,
    covered: Arc<Mutex<Epoch>>,
}

impl EpochFloor {
    /// As the pages say now.
    ///
    /// # Errors
    /// When the page store does not answer.
    pub async fn read(pages: Arc<dyn PageStore>) -> Result<Self> {
        let floor = pages.epoch_floor().await?;
        let least = if floor == Epoch::default() { floor } else { floor.next() };
        Ok(Self { pages, least, covered: Arc::new(Mutex::new(floor)) })
    }

    /// The least epoch of a claim that must have at least `wanted`.
    pub(crate) fn least(&self, wanted: Epoch) -> Epoch {
        wanted.max(self.least)
    }

    /// Makes the pages remember a claim's epoch, before anything is written under it.
    pub(crate) async fn cover(&self, epoch: Epoch) -> Result<()> {
        let mut covered = self.covered.lock().await;
        if epoch > *covered {
            self.pages.raise_epoch_floor(epoch).await?;
            *covered = epoch;
        }
        Ok(())
    }
}
