//! Reads a request's body: whole, within its limits, compression undone.
//!
//! The limit counts *decoded* bytes, so that a compressed bomb is refused as
//! soon as it has grown too large, not after. A body must keep coming: a caller
//! that sends a byte now and then would otherwise hold its place for ever.

use std::io::Read;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::error::Error;

/// The first bytes must come within this, and the rest at [`SLOWEST`].
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes per second a body must make: far below any network that works, far
/// above what an attacker who only wants to hold a place sends.
const SLOWEST: u64 = 1024;

/// Reads the body whole.
///
/// # Errors
/// 413 over `limit` bytes, 415 for unknown codings, 400 for corrupt ones, 408
/// when it comes too slowly.
pub async fn read<B>(headers: &HeaderMap, body: B, limit: usize) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(Error::too_large(limit));
    }
    let raw = collect(body, limit, announced).await?;
    let coding =
        headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
    match coding.as_deref() {
        None | Some("" | "identity") => Ok(raw),
        Some("gzip" | "x-gzip") => undo(flate2::read::MultiGzDecoder::new(raw.as_ref()), limit),
        Some("deflate") => undo(flate2::read::ZlibDecoder::new(raw.as_ref()), limit),
        Some("zstd") => match zstd::stream::read::Decoder::with_buffer(raw.as_ref()) {
            Ok(decoder) => undo(decoder, limit),
            Err(_) => Err(corrupt()),
        },
        Some(other) => Err(Error::unsupported_encoding(other)),
    }
}

async fn collect<B>(mut body: B, limit: usize, announced: Option<u64>) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let started = Instant::now();
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut length = 0_usize;
    loop {
        let earned = Duration::from_secs(length as u64 / SLOWEST);
        let frame = match timeout_at(started + PATIENCE + earned, body.frame()).await {
            Err(_) => return Err(Error::too_slow()),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(Error::invalid_request("the request body broke off", None)),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > limit {
            return Err(Error::too_large(limit));
        }
        // The usual body is one frame and is not copied.
        match &first {
            None => first = Some(data),
            Some(before) => {
                if rest.is_empty() {
                    // As much as was announced, so that nothing is copied twice.
                    rest.reserve(length.max(announced.and_then(|all| all.try_into().ok()).unwrap_or(0)));
                    rest.extend_from_slice(before);
                }
                rest.extend_from_slice(&data);
            }
        }
    }
    Ok(if rest.is_empty() { first.unwrap_or_default() } else { rest.freeze() })
}

fn undo(coded: impl Read, limit: usize) -> Result<Bytes, Error> {
    let mut decoded = Vec::new();
    // One byte more than allowed tells "too large" from "just fits".
    coded.take(limit as u64 + 1).read_to_end(&mut decoded).map_err(|_| corrupt())?;
    if decoded.len() > limit {
        return Err(Error::too_large(limit));
    }
    Ok(decoded.into())
}

fn corrupt() -> Error {
    Error::invalid_request("the request body cannot be decompressed as its content-encoding says", None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;
    use std::io::Write;

    async fn read_as(coding: &str, body: Vec<u8>, limit: usize) -> Result<Bytes, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
        read(&headers, Full::new(Bytes::from(body)), limit).await
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn compression_is_undone() {
        assert_eq!(read_as("gzip", gzip(b"{}"), 100).await.unwrap(), "{}");
        assert_eq!(read_as("zstd", zstd::encode_all(&b"{}"[..], 0).unwrap(), 100).await.unwrap(), "{}");
        assert_eq!(read_as("identity", b"{}".to_vec(), 100).await.unwrap(), "{}");
        assert_eq!(read_as("br", b"{}".to_vec(), 100).await.unwrap_err().status, 415);
        assert_eq!(read_as("gzip", b"{}".to_vec(), 100).await.unwrap_err().status, 400);
    }

    #[tokio::test]
    async fn the_limit_counts_decoded_bytes() {
        assert!(read_as("gzip", gzip(&[b'x'; 1000]), 1000).await.is_ok());
        assert_eq!(read_as("gzip", gzip(&[b'x'; 1001]), 1000).await.unwrap_err().status, 413);
        let bomb = zstd::encode_all(&vec![0_u8; 10_000_000][..], 0).unwrap();
        assert_eq!(read_as("zstd", bomb, 1000).await.unwrap_err().status, 413);
        assert_eq!(read_as("identity", vec![b'x'; 1001], 1000).await.unwrap_err().status, 413);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let error = read(&HeaderMap::new(), Pending, 1000).await.unwrap_err();
        assert_eq!(error.status, 408);
    }

    struct Pending;

    impl http_body::Body for Pending {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            std::task::Poll::Pending
        }
    }
}
