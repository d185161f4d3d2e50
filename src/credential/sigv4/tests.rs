//! Against what AWS publishes, and what its own client computes.

use proptest::prelude::*;

use super::*;

/// The account of all published examples.
fn keys(token: Option<&str>) -> AwsKeys {
    AwsKeys {
        id: "AKIDEXAMPLE".to_owned(),
        secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
        session_token: token.map(|token| Secret::new(token.to_owned())),
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn signature(authorization: &str) -> &str {
    authorization.rsplit('=').next().unwrap()
}

/// An example of AWS's test suite (github.com/awslabs/aws-c-auth,
/// tests/aws-signing-test-suite/v4, the files header-signed-request.txt), which
/// does not always sign the body's digest: 2015-08-30T12:36:00Z, us-east-1,
/// the service `service`.
fn suite(method: &Method, path: &str, query: &str, more: &[(&str, &str)], body: &'static str) -> String {
    let date = "20150830T123600Z";
    let body = [Bytes::from_static(body.as_bytes())];
    let request = ToSign { method, host: "example.amazonaws.com", path, query, headers: more, body: &body };
    let mut headers = more.to_vec();
    headers.extend([("host", request.host), ("x-amz-date", date)]);
    let canonical = Canonical::new(&request, headers, &body_digest(&body));
    let scope = Scope { region: "us-east-1", service: "service" };
    signature(&authorization(&canonical, &keys(None), scope, date)).to_owned()
}

#[test]
fn the_published_suite_is_met() {
    let get =
        |path: &str, query: &str, headers: &[(&str, &str)]| suite(&Method::GET, path, query, headers, "");
    // get-vanilla
    assert_eq!(get("/", "", &[]), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    // get-vanilla-query-order-key-case
    let query = "Param2=value2&Param1=value1";
    assert_eq!(get("/", query, &[]), "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500");
    // get-unreserved
    let path = "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    assert_eq!(get(path, "", &[]), "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f");
    // get-utf8
    assert_eq!(get("/ሴ", "", &[]), "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85");
    // get-header-key-duplicate
    let headers = [("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")];
    assert_eq!(get("/", "", &headers), "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea");
    // get-header-value-trim
    let headers = [("my-header1", " value1"), ("my-header2", " \"a   b   c\"")];
    assert_eq!(get("/", "", &headers), "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736");
    // get-vanilla-with-session-token
    let token =
        [("x-amz-security-token", "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267")];
    assert_eq!(get("/", "", &token), "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8");
    // post-x-www-form-urlencoded
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-length", "13"),
        ("x-amz-content-sha256", "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"),
    ];
    assert_eq!(
        suite(&Method::POST, "/", "", &headers, "Param1=value1"),
        "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"
    );
}

/// All that is sent, for a request with a session token: the example that
/// OpenAI's Python client is held to (github.com/openai/openai-python,
/// tests/fixtures/bedrock/v1/sigv4.json).
#[test]
fn a_whole_request_is_signed_as_others_sign_it() {
    let body = [Bytes::from_static(br#"{"model":"gpt-4o","#), Bytes::from_static(br#""input":"hello"}"#)];
    let request = ToSign {
        method: &Method::POST,
        host: "bedrock-mantle.us-east-1.api.aws",
        path: "/openai/v1/responses",
        query: "",
        headers: &[("content-type", "application/json")],
        body: &body,
    };
    let scope = Scope { region: "us-east-1", service: "bedrock-mantle" };
    let keys = keys(Some("fixture-session-token"));
    let signed = sign(&request, &keys, scope, at(1_735_787_045)).unwrap();
    let text = |name: &str| signed[name].to_str().unwrap().to_owned();
    assert_eq!(text("x-amz-date"), "20250102T030405Z");
    assert_eq!(
        text("x-amz-content-sha256"),
        "50329e51ad520f21b77bad0b01999930ff556cd1bf18434701251ba6c9f877bc"
    );
    assert_eq!(text("x-amz-security-token"), "fixture-session-token");
    assert_eq!(
        text("authorization"),
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20250102/us-east-1/bedrock-mantle/aws4_request, \
         SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token, \
         Signature=dc20c8fbe516daf0ccae7e5b7a78fc2936870413a9f1af6e1b2d44b970ce411f"
    );
    assert!(signed["authorization"].is_sensitive() && signed["x-amz-security-token"].is_sensitive());
    let shown = format!("{signed:?} {keys:?}");
    assert!(!shown.contains("fixture-session-token") && !shown.contains("wJalr"), "{shown}");
}

/// A model named by an ARN, as AWS's own client for Python signs it (botocore
/// 1.44.8, its clock stopped): the path is encoded twice.
#[test]
fn an_arn_in_the_path_is_encoded_twice() {
    let body = [Bytes::from_static(br#"{"messages":[]}"#)];
    let request = ToSign {
        method: &Method::POST,
        host: "bedrock-runtime.eu-west-1.amazonaws.com",
        path: "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Aapplication-inference-profile%2Fabc123/converse-stream",
        query: "",
        headers: &[],
        body: &body,
    };
    let date = timestamp(at(1_795_478_459));
    assert_eq!(date, "20261124T000059Z");
    let headers = vec![
        ("content-type", "application/json"),
        ("host", request.host),
        ("x-amz-date", &date),
        ("x-amz-security-token", "tok"),
    ];
    let canonical = Canonical::new(&request, headers, &body_digest(&body));
    let scope = Scope { region: "eu-west-1", service: "bedrock" };
    let told = authorization(&canonical, &keys(Some("tok")), scope, &date);
    assert_eq!(signature(&told), "d416e60d747962d2802d8091a667b03ec56ce098def7c13b44a0cbb4bb5c2a4c");
}

#[test]
fn what_cannot_be_a_header_is_refused() {
    let request = ToSign { method: &Method::POST, host: "h", path: "", query: "", headers: &[], body: &[] };
    let scope = Scope { region: "r", service: "s" };
    assert!(sign(&request, &keys(Some("line\nbreak")), scope, at(0)).is_err());
    let bad = AwsKeys { id: "a\r\nb".to_owned(), ..keys(None) };
    assert!(sign(&request, &bad, scope, at(0)).is_err());
}

#[test]
fn dates_are_those_of_the_calendar() {
    for (seconds, expected) in [
        (0, "19700101T000000Z"),
        (68_169_600, "19720229T000000Z"),
        (951_782_399, "20000228T235959Z"),
        (951_868_800, "20000301T000000Z"),
        (4_107_542_400, "21000301T000000Z"),
    ] {
        assert_eq!(timestamp(at(seconds)), expected);
    }
}

proptest! {
    /// HTTP's own dates, which another crate writes, tell the same day.
    #[test]
    fn dates_agree_with_those_of_http(seconds in 0..253_402_300_799_u64) {
        let theirs = httpdate::fmt_http_date(at(seconds));
        let words: Vec<&str> = theirs.split([' ', ':']).collect();
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = months.iter().position(|month| *month == words[2]).unwrap() + 1;
        let expected = format!("{}{month:02}{}T{}{}{}Z", words[3], words[1], words[4], words[5], words[6]);
        prop_assert_eq!(timestamp(at(seconds)), expected);
    }

    /// However the body is cut, and whatever is asked, what is sent is a header.
    #[test]
    fn any_request_can_be_signed(path in "/[ -~]{0,40}", query in "[a-z&=%]{0,20}", body in prop::collection::vec(any::<u8>(), 0..60), cut in any::<prop::sample::Index>()) {
        let sign_of = |pieces: &[Bytes]| {
            let request = ToSign { method: &Method::POST, host: "h", path: &path, query: &query, headers: &[], body: pieces };
            sign(&request, &keys(None), Scope { region: "r", service: "bedrock" }, at(1_735_787_045)).unwrap()
        };
        let whole = Bytes::from(body);
        let at = if whole.is_empty() { 0 } else { cut.index(whole.len()) };
        prop_assert_eq!(sign_of(&[whole.slice(..at), whole.slice(at..)]), sign_of(&[whole]));
    }
}
