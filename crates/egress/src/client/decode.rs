//! `Content-Encoding`: which codings lie over a body, and a reader that undoes them as it reads.

use async_compression::tokio::bufread::{BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use http::header::{CONTENT_ENCODING, HeaderMap};
use std::io::Cursor;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader};

/// Nobody compresses more often by mistake; each layer costs a buffer.
const MAX_LAYERS: usize = 3;
/// RFC 9659: no window above 8 MiB for the zstd content coding.
const ZSTD_WINDOW_LOG: u32 = 23;
/// The first seven bits of a "large window" brotli stream, which RFC 7932 §9.1 does not allow: up to 1 GiB.
const BROTLI_LARGE_WINDOW: u8 = 0x11;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

pub(super) type Reader = Box<dyn AsyncBufRead + Send + Unpin>;

/// The codings in the order in which they were applied.
///
/// # Errors
/// A registered coding that we do not have, or too many. What is no coding at all (`utf-8`, `none`) is a mistake of
/// the server that browsers pass over, and so is it here.
pub(super) fn codings_of(headers: &HeaderMap) -> Result<Vec<Coding>, String> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        for token in text.split(',').map(str::trim) {
            match token {
                "gzip" | "x-gzip" => codings.push(Coding::Gzip),
                "deflate" => codings.push(Coding::Deflate),
                "br" => codings.push(Coding::Brotli),
                "zstd" => codings.push(Coding::Zstd),
                "compress" | "x-compress" | "exi" | "pack200-gzip" | "aes128gcm" | "dcb" | "dcz" | "bzip2" | "xz"
                | "lzma" => return Err(format!("the coding {token} was not asked for")),
                _ => {}
            }
            if codings.len() > MAX_LAYERS {
                return Err(format!("more than {MAX_LAYERS} codings"));
            }
        }
    }
    Ok(codings)
}

/// Undoes the codings, last applied first. An empty body is empty under any coding.
pub(super) async fn decoder(mut reader: Reader, codings: &[Coding]) -> std::io::Result<Reader> {
    if codings.is_empty() || reader.fill_buf().await?.is_empty() {
        return Ok(reader);
    }
    for coding in codings.iter().rev() {
        reader = undo(reader, *coding).await?;
    }
    Ok(reader)
}

async fn undo(mut reader: Reader, coding: Coding) -> std::io::Result<Reader> {
    Ok(match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(reader);
            decoder.multiple_members(true);
            Box::new(BufReader::new(decoder))
        }
        Coding::Zstd => {
            let mut decoder = ZstdDecoder::with_params(reader, &[DParameter::window_log_max(ZSTD_WINDOW_LOG)]);
            decoder.multiple_members(true);
            Box::new(BufReader::new(decoder))
        }
        Coding::Brotli => {
            if reader.fill_buf().await?.first().is_some_and(|byte| byte & 0x7f == BROTLI_LARGE_WINDOW) {
                return Err(std::io::Error::other("brotli with a large window"));
            }
            Box::new(BufReader::new(BrotliDecoder::new(reader)))
        }
        Coding::Deflate => {
            let mut first = [0_u8; 2];
            let mut n_first = 0;
            while n_first < 2 {
                match reader.read(first.get_mut(n_first..).unwrap_or_default()).await? {
                    0 => break,
                    n_read => n_first += n_read,
                }
            }
            let whole = Cursor::new(first.get(..n_first).unwrap_or_default().to_vec()).chain(reader);
            if is_zlib(first) {
                Box::new(BufReader::new(ZlibDecoder::new(whole)))
            } else {
                Box::new(BufReader::new(DeflateDecoder::new(whole)))
            }
        }
    })
}

/// RFC 1950 §2.2. "deflate" means zlib (RFC 9110 §8.4.1.2), yet some servers send it raw.
fn is_zlib([method, flags]: [u8; 2]) -> bool {
    method & 0x0f == 8 && method >> 4 <= 7 && u16::from_be_bytes([method, flags]) % 31 == 0
}
