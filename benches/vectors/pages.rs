//! The file between the two parts: one record a page, each with its length before it.

use anyhow::Context;
use argiope_protocol::ChunkId;
use argiope_store::vectors::{ChunkPayload, ChunkPoint, PageHead, PageWrite};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

/// A page ready to be written.
#[derive(Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) head: PageHead,
    pub(crate) chunks: Vec<(ChunkId, Vec<f32>, ChunkPayload)>,
}

impl Page {
    pub(crate) fn into_write(self) -> PageWrite {
        let point = |(id, dense, payload)| ChunkPoint { id, dense, payload };
        let new_chunks = self.chunks.into_iter().map(point).collect();
        PageWrite { head: self.head, new_chunks, moved: Vec::new(), stale: Vec::new() }
    }

    pub(crate) fn write(&self, to: &mut impl Write) -> anyhow::Result<()> {
        let bytes = postcard::to_stdvec(self)?;
        to.write_all(&u32::try_from(bytes.len())?.to_le_bytes())?;
        Ok(to.write_all(&bytes)?)
    }
}

/// The pages of a file, read one by one.
pub(crate) struct Pages(BufReader<File>);

impl Pages {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self(BufReader::new(File::open(path).with_context(|| format!("open {}", path.display()))?)))
    }

    fn read(&mut self) -> anyhow::Result<Option<Page>> {
        let mut length = [0; 4];
        match self.0.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        self.0.read_exact(&mut bytes)?;
        Ok(Some(postcard::from_bytes(&bytes)?))
    }
}

impl Iterator for Pages {
    type Item = anyhow::Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
