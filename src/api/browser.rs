//! Whether a request comes from a web page of another site.
//!
//! Who needs no credential because it is on the same machine shares that machine
//! with a browser, and with whatever pages that has open. Browsers say where a
//! request comes from; other clients do not say anything.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Uri};

/// Whether the page that makes this request is not one of this machine.
#[must_use]
pub fn is_foreign(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(http::HeaderValue::as_bytes);
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return true;
    }
    // A name that was made to point here after its page was loaded is the same
    // origin to the browser, so the name itself must be one of this machine.
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let host = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.parse::<Uri>().ok())
        .and_then(|uri| uri.host().map(ToOwned::to_owned));
    !host.is_some_and(|host| is_this_machine(&host))
}

/// Whether the request was addressed to this machine by a name that can mean no
/// other, or by no name at all.
#[must_use]
pub fn is_addressed_here(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else { return true };
    let host = host.to_str().ok().and_then(|host| host.parse::<http::uri::Authority>().ok());
    host.is_some_and(|authority| is_this_machine(authority.host()))
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    address.map_or_else(
        |_| host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost"),
        |address| address.is_loopback(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn pages_of_other_sites_are_told_from_clients() {
        assert!(!is_foreign(&headers(&[("host", "anything")])));
        assert!(!is_foreign(&headers(&[("sec-fetch-site", "none")])));
        assert!(!is_foreign(&headers(&[
            ("origin", "http://localhost:3000"),
            ("sec-fetch-site", "same-origin")
        ])));
        assert!(!is_foreign(&headers(&[("origin", "http://[::1]:3000")])));
        assert!(is_foreign(&headers(&[("sec-fetch-site", "cross-site")])));
        assert!(is_foreign(&headers(&[("origin", "https://evil.example")])));
        assert!(is_foreign(&headers(&[("origin", "null")])));
    }

    #[test]
    fn names_that_can_mean_another_machine_do_not_address_this_one() {
        assert!(is_addressed_here(&headers(&[])));
        assert!(is_addressed_here(&headers(&[("host", "127.0.0.1:9090")])));
        assert!(is_addressed_here(&headers(&[("host", "LOCALHOST:9090")])));
        assert!(!is_addressed_here(&headers(&[("host", "rebound.example:9090")])));
        assert!(!is_addressed_here(&headers(&[("host", "10.0.0.1")])));
    }
}
