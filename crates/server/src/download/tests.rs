use super::*;
use http::HeaderValue;

#[derive(Clone)]
struct Memory(&'static [u8]);

impl Reader for Memory {
    async fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let at = usize::try_from(offset).unwrap().min(self.0.len());
        Ok(Bytes::from_static(&self.0[at..(at + length).min(self.0.len())]))
    }
}

const DATE: &str = "Tue, 03 Nov 2026 08:00:00 GMT";

async fn get(method: Method, headers: &[(&'static str, &str)]) -> (u16, HeaderMap, Vec<u8>) {
    let modified = httpdate::parse_http_date(DATE).unwrap();
    let file = Stored { size: 12, modified, etag: "\"a-1\"".to_owned(), reader: Memory(b"hello, bits\n") };
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let (parts, body) = serve(&method, &map, file).into_parts();
    (parts.status.as_u16(), parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

#[tokio::test]
async fn ranges_are_answered_206_with_their_place() {
    let (code, headers, body) = get(Method::GET, &[("range", "bytes=0-4")]).await;
    assert_eq!(
        (code, body.as_slice(), headers["content-range"].to_str().unwrap()),
        (206, b"hello".as_slice(), "bytes 0-4/12")
    );
    assert_eq!(
        (headers["content-length"].to_str().unwrap(), headers["etag"].to_str().unwrap()),
        ("5", "\"a-1\"")
    );
    let (code, headers, body) = get(Method::GET, &[("range", "bytes=12-")]).await;
    assert_eq!((code, body.len(), headers["content-range"].to_str().unwrap()), (416, 0, "bytes */12"));
}

#[tokio::test]
async fn head_has_the_headers_of_get() {
    for range in ["bytes=0-4", "bytes=0-0,5-6", "x"] {
        let (code, mut headers, body) = get(Method::GET, &[("range", range)]).await;
        let (head_code, mut head_headers, head_body) = get(Method::HEAD, &[("range", range)]).await;
        assert_eq!(headers["content-length"], body.len().to_string());
        assert!(head_body.is_empty());
        for map in [&mut headers, &mut head_headers] {
            map.remove("content-type");
        }
        assert_eq!((code, headers), (head_code, head_headers));
    }
}

#[tokio::test]
async fn if_range_takes_strong_tags_and_settled_dates_only() {
    for (value, code) in [
        ("\"a-1\"", 206),
        ("\"a-2\"", 200),
        ("W/\"a-1\"", 200),
        (DATE, 206),
        ("Tue, 03 Nov 2026 08:00:01 GMT", 200),
        ("nonsense", 200),
    ] {
        assert_eq!(get(Method::GET, &[("range", "bytes=0-4"), ("if-range", value)]).await.0, code, "{value}");
    }
}

#[tokio::test]
async fn conditions_come_in_the_order_of_the_standard() {
    for (headers, code) in [
        (vec![("if-match", "\"x\", \"a-1\"")], 200),
        (vec![("if-match", "\"x\"")], 412),
        (vec![("if-match", "*")], 200),
        (vec![("if-unmodified-since", DATE)], 200),
        (vec![("if-unmodified-since", "Tue, 03 Nov 2026 07:59:59 GMT")], 412),
        (vec![("if-none-match", "W/\"a-1\"")], 304),
        (vec![("if-none-match", "\"x\""), ("if-modified-since", DATE)], 200),
        (vec![("if-modified-since", DATE)], 304),
        (vec![("if-modified-since", "Tue, 03 Nov 2026 07:59:59 GMT")], 200),
    ] {
        assert_eq!(get(Method::GET, &headers).await.0, code, "{headers:?}");
    }
}

#[tokio::test]
async fn several_ranges_come_in_the_order_asked() {
    let (code, headers, body) = get(Method::GET, &[("range", "bytes=7-10,0-4")]).await;
    assert_eq!(code, 206);
    let kind = headers["content-type"].to_str().unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let wanted = format!(
        "--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 7-10/12\r\n\r\nbits\r\n\
         --{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 0-4/12\r\n\r\nhello\r\n\
         --{boundary}--\r\n"
    );
    assert_eq!(String::from_utf8(body).unwrap(), wanted);
}
