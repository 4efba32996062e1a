//! Segment files: WARC records, each in its own zstd frame, one after the other. Any tool that reads concatenated
//! zstd frames and WARC reads them.

use super::index::StoredSegment;
use crate::pages::warc::{self, Record};
use crate::{Error, Result};
use argiope_protocol::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;
use zstd::bulk::{Compressor, Decompressor};

/// Level 1: pages compress to about a quarter at some 400 MB/s; higher levels cost several times as much CPU for
/// a few percent (DESIGN §9).
const ZSTD_LEVEL: i32 = 1;

/// Where a frame lies and what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FrameRef {
    pub(super) segment: u32,
    pub(super) offset: u64,
    /// Compressed bytes.
    pub(super) bytes: u64,
    /// xxh3 of the compressed bytes.
    pub(super) hash: u64,
    /// Bytes of the record in it.
    pub(super) record_bytes: u64,
    pub(super) payload_start: u32,
    pub(super) payload_bytes: u64,
}

/// A record read back.
#[derive(Debug)]
pub(super) struct OpenFrame {
    pub(super) record: Vec<u8>,
    payload: std::ops::Range<usize>,
}

impl OpenFrame {
    pub(super) fn payload(&self) -> &[u8] {
        // The range was checked when the frame was read.
        self.record.get(self.payload.clone()).unwrap_or_default()
    }
}

pub(super) fn segment_path(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("{number:06}.warc.zst"))
}

/// The compressed bytes of a frame, checked against their hash.
pub(super) fn read_raw(directory: &Path, frame: &FrameRef) -> Result<Vec<u8>> {
    let path = segment_path(directory, frame.segment);
    let file = File::open(&path).map_err(|e| damaged(frame, &e.to_string()))?;
    let length = usize::try_from(frame.bytes).map_err(|_| damaged(frame, "its length is impossible"))?;
    let held = file.metadata().map_or(0, |metadata| metadata.len());
    if frame.offset.saturating_add(frame.bytes) > held {
        return Err(damaged(frame, "the file ends before it"));
    }
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, frame.offset).map_err(|e| damaged(frame, &e.to_string()))?;
    if xxh3_64(&bytes) != frame.hash {
        return Err(damaged(frame, "its checksum does not match"));
    }
    Ok(bytes)
}

/// The record in a frame.
pub(super) fn read_frame(directory: &Path, frame: &FrameRef) -> Result<OpenFrame> {
    let bytes = read_raw(directory, frame)?;
    let length = usize::try_from(frame.record_bytes).map_err(|_| damaged(frame, "its length is impossible"))?;
    let decoded = Decompressor::new().and_then(|mut decompressor| decompressor.decompress(&bytes, length));
    let record = decoded.map_err(|e| damaged(frame, &e.to_string()))?;
    let start = frame.payload_start as usize;
    let end = usize::try_from(frame.payload_bytes).ok().and_then(|length| start.checked_add(length));
    let payload = end.filter(|end| *end <= record.len()).map(|end| start..end);
    let payload = payload.ok_or_else(|| damaged(frame, "its record is too short"))?;
    Ok(OpenFrame { record, payload })
}

fn damaged(frame: &FrameRef, detail: &str) -> Error {
    let what = format!("segment {:06} at byte {}", frame.segment, frame.offset);
    Error::Corrupt { what, detail: detail.to_owned() }
}

/// Appends frames. Nothing reaches the file before [`Appender::flush`].
pub(super) struct Appender {
    directory: PathBuf,
    segment_bytes: u64,
    compressor: Compressor<'static>,
    number: u32,
    file: Option<File>,
    /// Bytes in the file.
    end: u64,
    /// Frames that follow `end`.
    buffer: Vec<u8>,
    /// New ends of the files written since the last [`Appender::take_ends`].
    ends: BTreeMap<u32, u64>,
}

impl Appender {
    /// Cuts what was never acknowledged off every file, and goes on at the end of the last one.
    pub(super) fn open(directory: &Path, segment_bytes: u64, segments: &BTreeMap<u32, StoredSegment>) -> Result<Self> {
        std::fs::create_dir_all(directory).map_err(|e| Error::engine("make the segment directory", e))?;
        let compressor = Compressor::new(ZSTD_LEVEL).and_then(|mut compressor| {
            compressor.include_checksum(true)?;
            Ok(compressor)
        });
        let compressor = compressor.map_err(|e| Error::engine("start zstd", e))?;
        let files = list(directory)?;
        let mut is_whole = true;
        for number in &files {
            let end = segments.get(number).map_or(0, |segment| segment.end);
            is_whole = cut_tail(directory, *number, end)?;
        }
        let last = files.last().copied().unwrap_or(0).max(segments.keys().last().copied().unwrap_or(0));
        let mut appender = Self {
            directory: directory.to_owned(),
            segment_bytes,
            compressor,
            number: last.max(1),
            file: None,
            end: segments.get(&last).map_or(0, |segment| segment.end),
            buffer: Vec::new(),
            ends: BTreeMap::new(),
        };
        // A file that lost acknowledged bytes is never appended to: offsets would lie.
        if !is_whole || (appender.end > 0 && files.last() != Some(&last)) {
            appender.next_file();
        }
        Ok(appender)
    }

    /// Compresses a record into the buffer and says where it will lie.
    pub(super) fn push(&mut self, record: &Record, now: Timestamp) -> Result<FrameRef> {
        if self.position() >= self.segment_bytes {
            self.flush()?;
            self.next_file();
        }
        if self.position() == 0 {
            let name = format!("{:06}.warc.zst", self.number);
            self.compress(&warc::warcinfo(&name, now, Uuid::new_v4()))?;
        }
        let offset = self.position();
        let hash = self.compress(record)?;
        Ok(FrameRef {
            segment: self.number,
            offset,
            bytes: self.position() - offset,
            hash,
            record_bytes: record.bytes.len() as u64,
            payload_start: record.payload_start,
            payload_bytes: record.payload_bytes,
        })
    }

    /// Copies a frame as it is.
    pub(super) fn push_raw(&mut self, bytes: &[u8], frame: &FrameRef) -> Result<FrameRef> {
        if self.position() >= self.segment_bytes {
            self.flush()?;
            self.next_file();
        }
        let moved = FrameRef { segment: self.number, offset: self.position(), ..*frame };
        self.buffer.extend_from_slice(bytes);
        Ok(moved)
    }

    /// Writes and syncs the buffer.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.write_buffer().map_err(|error| self.write_error(&error))?;
        self.end = self.position();
        self.buffer.clear();
        self.ends.insert(self.number, self.end);
        Ok(())
    }

    /// New ends of the files written since the last call.
    pub(super) fn take_ends(&mut self) -> BTreeMap<u32, u64> {
        std::mem::take(&mut self.ends)
    }

    /// The file that is appended to.
    pub(super) const fn current(&self) -> u32 {
        self.number
    }

    /// Whether a frame waits in the buffer.
    pub(super) const fn is_buffered(&self, frame: &FrameRef) -> bool {
        frame.segment == self.number && frame.offset >= self.end
    }

    /// Goes on in a new file. The buffer must be flushed.
    pub(super) fn next_file(&mut self) {
        self.number += 1;
        self.file = None;
        self.end = 0;
    }

    const fn position(&self) -> u64 {
        self.end + self.buffer.len() as u64
    }

    fn compress(&mut self, record: &Record) -> Result<u64> {
        let frame = self.compressor.compress(&record.bytes).map_err(|e| Error::engine("compress a page", e))?;
        self.buffer.extend_from_slice(&frame);
        Ok(xxh3_64(&frame))
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let path = segment_path(&self.directory, self.number);
                let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
                // The file's name must survive a power cut as its bytes do.
                File::open(&self.directory)?.sync_all()?;
                file
            }
        };
        file.write_all_at(&self.buffer, self.end)?;
        file.sync_data()?;
        self.file = Some(file);
        Ok(())
    }

    fn write_error(&self, error: &io::Error) -> Error {
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Error::DiskFull { free_bytes: 0, needed_bytes: self.buffer.len() as u64 };
        }
        Error::engine("append to a segment", error)
    }
}

/// Numbers of the segment files, ascending. Other files are left alone.
fn list(directory: &Path) -> Result<Vec<u32>> {
    let entries = std::fs::read_dir(directory).map_err(|e| Error::engine("list the segments", e))?;
    let numbers = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.strip_suffix(".warc.zst")?.parse::<u32>().ok()
    });
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Answers whether the file holds all that was acknowledged.
fn cut_tail(directory: &Path, number: u32, end: u64) -> Result<bool> {
    let cut = || -> io::Result<bool> {
        let file = OpenOptions::new().write(true).open(segment_path(directory, number))?;
        let length = file.metadata()?.len();
        if length > end {
            file.set_len(end)?;
            file.sync_data()?;
        }
        Ok(length >= end)
    };
    let is_whole = cut().map_err(|e| Error::engine("cut the tail of a segment", e))?;
    if !is_whole {
        tracing::warn!(segment = number, end, "segment lost acknowledged bytes, run verify");
    }
    Ok(is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Record {
        Record { bytes: text.as_bytes().to_vec(), payload_start: 2, payload_bytes: text.len() as u64 - 2 }
    }

    #[test]
    fn a_torn_tail_is_cut_and_a_full_file_is_followed_by_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let mut appender = Appender::open(directory.path(), 300, &BTreeMap::new()).unwrap();
        let first = appender.push(&record("abcdef"), Timestamp::ZERO).unwrap();
        assert!(appender.is_buffered(&first));
        appender.flush().unwrap();
        assert!(!appender.is_buffered(&first));
        let end = *appender.take_ends().get(&1).unwrap();
        let torn = appender.push(&record(&"x".repeat(400)), Timestamp::ZERO).unwrap();
        appender.flush().unwrap();
        drop(appender);
        let acknowledged = BTreeMap::from([(1, StoredSegment { end, live: 0 })]);
        let mut appender = Appender::open(directory.path(), 300, &acknowledged).unwrap();
        assert_eq!(read_frame(directory.path(), &first).unwrap().payload(), b"cdef");
        assert!(read_frame(directory.path(), &torn).is_err());
        let mut last = first;
        for _ in 0..10 {
            last = appender.push(&record(&Uuid::new_v4().to_string().repeat(3)), Timestamp::ZERO).unwrap();
        }
        appender.flush().unwrap();
        assert!(last.segment > 1 && appender.take_ends().len() > 1, "{last:?}");
        assert!(read_frame(directory.path(), &last).is_ok());
    }
}
